//! Ladders: who sent what to whom, drawn as in RFC 3665.

use std::fmt;

use ambient::Moment;
use sip_msg::{Message, Method};

/// One message on its way.
#[derive(Clone, Debug)]
struct Rung {
    at: Moment,
    from: usize,
    to: usize,
    label: String,
    ping: bool,
    arrivals: usize,
}

/// Every message of a run. Prints as a ladder, without OPTIONS.
#[derive(Clone, Debug)]
pub struct Ladder {
    columns: Vec<String>,
    rungs: Vec<Rung>,
}

const WIDTH: usize = 26;

impl Ladder {
    pub(crate) fn new(columns: Vec<String>) -> Self {
        Self {
            columns,
            rungs: Vec::new(),
        }
    }

    pub(crate) fn add(
        &mut self,
        at: Moment,
        from: usize,
        to: usize,
        message: &Message,
        arrivals: usize,
    ) {
        let (label, method) = label(message);
        let ping = method == Some(Method::Options);
        self.rungs.push(Rung {
            at,
            from,
            to,
            label,
            ping,
            arrivals,
        });
    }

    /// How many messages of that label were sent to `column`, lost ones and repetitions included:
    /// `INVITE`, `200 INVITE`.
    #[must_use]
    pub fn count(&self, column: &str, label: &str) -> usize {
        self.labels(column).filter(|found| *found == label).count()
    }

    /// The labels of all messages sent to `column`, in order.
    pub fn labels<'s>(&'s self, column: &str) -> impl Iterator<Item = &'s str> + 's {
        let index = self.columns.iter().position(|name| name == column);
        self.rungs
            .iter()
            .filter(move |rung| Some(rung.to) == index)
            .map(|rung| rung.label.split(" +").next().unwrap_or_default())
    }

    /// Forgets what was sent so far.
    pub fn clear(&mut self) {
        self.rungs.clear();
    }

    fn shown(&self) -> Vec<usize> {
        let used = |column: &usize| {
            self.rungs
                .iter()
                .any(|rung| !rung.ping && (rung.from == *column || rung.to == *column))
        };
        (0..self.columns.len()).filter(used).collect()
    }
}

fn label(message: &Message) -> (String, Option<Method>) {
    // A fragment of a message is shown by its status (RFC 3420).
    let fragment = message.body().strip_prefix(b"SIP/2.0 ");
    let fragment = fragment.and_then(|rest| std::str::from_utf8(rest.get(..3)?).ok());
    let body = match fragment {
        Some(status) => format!(" +{status}"),
        None if message.body().is_empty() => String::new(),
        None => " +sdp".to_owned(),
    };
    match message {
        Message::Request(request) => (
            format!("{}{body}", request.method.as_str()),
            Some(request.method.clone()),
        ),
        Message::Response(response) => {
            let method = response.headers.cseq().ok().map(|cseq| cseq.method);
            let name = method.as_ref().map_or("?", Method::as_str);
            (format!("{} {name}{body}", response.status.code()), method)
        }
    }
}

impl fmt::Display for Ladder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.shown();
        let names = shown
            .iter()
            .map(|column| format!("{:<WIDTH$}", self.columns[*column]));
        writeln!(f, "{:>9}{}", "", names.collect::<String>().trim_end())?;
        for rung in self.rungs.iter().filter(|rung| !rung.ping) {
            let micros = rung.at.as_nanos() / 1_000;
            write!(
                f,
                "{:>4}.{:03}  ",
                micros / 1_000_000,
                micros / 1_000 % 1_000
            )?;
            writeln!(f, "{}", draw(rung, &shown).trim_end())?;
        }
        Ok(())
    }
}

fn draw(rung: &Rung, shown: &[usize]) -> String {
    let place = |column: usize| shown.iter().position(|shown| *shown == column).unwrap_or(0);
    let (from, to) = (place(rung.from), place(rung.to));
    let mut line: Vec<char> = vec![' '; WIDTH * shown.len()];
    for column in 0..shown.len() {
        line[column * WIDTH] = '|';
    }
    let (left, right) = (from.min(to) * WIDTH, from.max(to) * WIDTH);
    for cell in &mut line[left + 1..right] {
        *cell = '-';
    }
    let (head, tip) = if from < to {
        (right - 1, '>')
    } else {
        (left + 1, '<')
    };
    line[head] = if rung.arrivals == 0 { 'x' } else { tip };
    let text = match rung.arrivals {
        0 | 1 => format!(" {} ", rung.label),
        _ => format!(" {} (twice) ", rung.label),
    };
    let room = (right - left).saturating_sub(4);
    let start = left + 2 + room.saturating_sub(text.chars().count()) / 2;
    for (cell, character) in line[start..right - 1].iter_mut().zip(text.chars()) {
        *cell = character;
    }
    line.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use sip_msg::{Request, Uri};

    use super::*;

    #[test]
    fn a_ladder_is_readable() {
        let columns = ["carrier", "trunkline", "acs"].map(str::to_owned).to_vec();
        let mut ladder = Ladder::new(columns);
        let uri = Uri::sip(None, "example.com", None);
        let bye = Message::Request(Request::new(Method::Bye, uri.clone()));
        let ping = Message::Request(Request::new(Method::Options, uri));
        ladder.add(Moment::from_nanos(1_500_000_000), 0, 1, &bye, 1);
        ladder.add(Moment::from_nanos(1_510_000_000), 1, 2, &bye, 0);
        ladder.add(Moment::from_nanos(1_520_000_000), 1, 2, &ping, 1);
        assert_eq!(
            ladder.to_string(),
            "         carrier                   trunkline                 acs\n\
             \x20  1.500  |--------- BYE ---------->|                         |\n\
             \x20  1.510  |                         |--------- BYE ----------x|\n"
        );
        assert_eq!(ladder.count("acs", "BYE"), 1);
        assert_eq!(ladder.count("trunkline", "BYE"), 1);
    }
}
