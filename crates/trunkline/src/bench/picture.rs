//! A picture of bars, as SVG that needs nothing else.

use std::fmt;

const WIDTH: f64 = 760.0;
const LABELS: f64 = 200.0;
const BARS: f64 = 400.0;
const ROW: f64 = 22.0;
const HEAD: f64 = 34.0;

/// A page of panels.
pub(crate) struct Picture {
    pub(crate) title: String,
    pub(crate) below: String,
    pub(crate) panels: Vec<Panel>,
}

/// Bars of one unit.
pub(crate) struct Panel {
    title: &'static str,
    bars: Vec<Bar>,
}

/// A bar.
pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) value: f64,
    pub(crate) text: String,
}

impl Panel {
    /// A panel; one without bars is not drawn.
    pub(crate) fn new(title: &'static str, bars: Vec<Bar>) -> Self {
        Self { title, bars }
    }

    fn height(&self) -> f64 {
        HEAD + ROW * self.bars.len() as f64 + 10.0
    }

    fn draw(&self, f: &mut fmt::Formatter<'_>, top: f64) -> fmt::Result {
        let title = Text(self.title);
        writeln!(
            f,
            r#"<text x="20" y="{:.0}" font-weight="bold">{title}</text>"#,
            top + 22.0
        )?;
        let most = self.bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
        for (n, bar) in self.bars.iter().enumerate() {
            let y = top + HEAD + ROW * n as f64;
            let share = if most > 0.0 { bar.value / most } else { 0.0 };
            let width = (BARS * share).max(1.0);
            writeln!(
                f,
                r##"<text x="20" y="{:.0}">{}</text><rect x="{LABELS:.0}" y="{y:.0}" width="{width:.1}" height="16" fill="#3b6ea5"/><text x="{:.1}" y="{:.0}">{}</text>"##,
                y + 13.0,
                Text(&bar.label),
                LABELS + width + 6.0,
                y + 13.0,
                Text(&bar.text),
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let drawn = || self.panels.iter().filter(|panel| !panel.bars.is_empty());
        let height = 70.0 + drawn().map(Panel::height).sum::<f64>();
        writeln!(
            f,
            r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH:.0}" height="{height:.0}" font-family="sans-serif" font-size="13" fill="#222">
<rect width="100%" height="100%" fill="#fff"/>
<text x="20" y="30" font-size="17">{}</text>
<text x="20" y="50" fill="#666">{}</text>"##,
            Text(&self.title),
            Text(&self.below),
        )?;
        let mut top = 58.0;
        for panel in drawn() {
            panel.draw(f, top)?;
            top += panel.height();
        }
        writeln!(f, "</svg>")
    }
}

/// Text with what XML gives a meaning to written out.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                other => write!(f, "{other}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_values_and_text_is_safe() {
        let bar = |label: &str, value| Bar {
            label: label.to_owned(),
            value,
            text: format!("{value} <µs>"),
        };
        let picture = Picture {
            title: "a & b".to_owned(),
            below: String::new(),
            panels: vec![
                Panel::new("cost", vec![bar("one", 4.0), bar("two", 1.0)]),
                Panel::new("nothing", Vec::new()),
            ],
        };
        let svg = picture.to_string();
        assert!(svg.contains("a &amp; b"), "{svg}");
        assert!(svg.contains("1 &lt;µs&gt;"), "{svg}");
        assert!(svg.contains(r#"width="400.0""#), "{svg}");
        assert!(svg.contains(r#"width="100.0""#), "{svg}");
        assert!(!svg.contains("nothing"), "{svg}");
        assert!(svg.ends_with("</svg>\n"), "{svg}");
    }
}
