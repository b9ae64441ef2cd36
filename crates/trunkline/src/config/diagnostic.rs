//! What is wrong with a configuration, and where: file, line, column, and what to write instead.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; the daemon starts.
    Warning,
    /// The daemon does not start with this.
    Error,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Byte range in the file; `None` where no single place is at fault.
    pub span: Option<Range<usize>>,
    /// What is wrong, as one plain sentence.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// A configuration file's text with its name, able to turn byte offsets into lines.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file as the user named it.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

impl Source {
    /// Line and column of a byte offset, both counted from 1; columns count characters.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        (line, before[start..].chars().count() + 1)
    }

    /// A finding as `error: …` with the place, the line and a caret below it.
    pub fn render<'a>(&'a self, diagnostic: &'a Diagnostic) -> Rendered<'a> {
        Rendered {
            source: self,
            diagnostic,
        }
    }
}

/// See [`Source::render`].
#[derive(Debug)]
pub struct Rendered<'a> {
    source: &'a Source,
    diagnostic: &'a Diagnostic,
}

impl fmt::Display for Rendered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(f, "{word}: {}", self.diagnostic.message)?;
        if let Some(span) = &self.diagnostic.span {
            let (line, column) = self.source.position(span.start);
            writeln!(f, "  --> {}:{line}:{column}", self.source.path.display())?;
            if let Some(text) = self.source.text.lines().nth(line - 1) {
                let shown = text.chars().count().saturating_sub(column - 1);
                let width = self
                    .source
                    .text
                    .get(span.clone())
                    .map_or(1, |marked| {
                        marked.lines().next().unwrap_or("").chars().count()
                    })
                    .clamp(1, shown.max(1));
                let margin = line.to_string().len();
                writeln!(f, "{:margin$} |", "")?;
                writeln!(f, "{line} | {text}")?;
                writeln!(
                    f,
                    "{:margin$} | {:pad$}{}",
                    "",
                    "",
                    "^".repeat(width),
                    pad = column - 1
                )?;
            }
        } else {
            writeln!(f, "  --> {}", self.source.path.display())?;
        }
        if let Some(help) = &self.diagnostic.help {
            writeln!(f, "  help: {help}")?;
        }
        Ok(())
    }
}

/// Collects findings while a file is read, so that all of them are told at once.
#[derive(Debug, Default)]
pub struct Findings(pub Vec<Diagnostic>);

impl Findings {
    /// Adds an error at `span`.
    pub fn error(&mut self, span: Range<usize>, message: impl Into<String>) -> &mut Self {
        self.push(Severity::Error, Some(span), message.into())
    }

    /// Adds a warning at `span`.
    pub fn warning(&mut self, span: Range<usize>, message: impl Into<String>) -> &mut Self {
        self.push(Severity::Warning, Some(span), message.into())
    }

    /// Adds an error that no single place causes.
    pub fn error_anywhere(&mut self, message: impl Into<String>) -> &mut Self {
        self.push(Severity::Error, None, message.into())
    }

    /// Adds a warning about no single place.
    pub fn warning_anywhere(&mut self, message: impl Into<String>) -> &mut Self {
        self.push(Severity::Warning, None, message.into())
    }

    /// Says what to do about the finding added last.
    pub fn help(&mut self, text: impl Into<String>) {
        if let Some(last) = self.0.last_mut() {
            last.help = Some(text.into());
        }
    }

    /// Whether anything found keeps the daemon from starting.
    pub fn has_errors(&self) -> bool {
        self.0
            .iter()
            .any(|finding| finding.severity == Severity::Error)
    }

    fn push(
        &mut self,
        severity: Severity,
        span: Option<Range<usize>>,
        message: String,
    ) -> &mut Self {
        self.0.push(Diagnostic {
            severity,
            span,
            message,
            help: None,
        });
        self
    }
}

/// The nearest of `known` to `word`, if one is near enough to have been meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
