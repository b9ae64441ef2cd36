//! The gateway's number patterns as .NET regular expressions.

/// Whether a pattern is of digits, `+`, `?`, `*` and a range, which is what Azure can match.
pub fn is_numeric(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_digit() || matches!(c, '+' | '?' | '*' | '-' | ' ');
    !text.trim().is_empty() && text.chars().all(fits)
}

/// Patterns that match `numbers` and none of `kept`, none longer than `longest`, each with the
/// numbers it is for. Nothing for no numbers.
///
/// Digits are written `[0-9]`: `\d` means the digits of every script to .NET.
///
/// # Errors
/// The length of a pattern of one number that is longer.
pub fn compile(
    numbers: &[String],
    kept: &[String],
    longest: usize,
) -> Result<Vec<(String, Vec<String>)>, usize> {
    let kept: Vec<String> = kept.iter().map(|number| one(number)).collect();
    let mut parts: Vec<(String, Vec<String>)> = Vec::new();
    let mut open: Vec<(String, String)> = Vec::new();
    for number in numbers {
        open.push((one(number), number.clone()));
        if whole(&open, &kept).chars().count() <= longest {
            continue;
        }
        let last = open.pop().expect("pushed above");
        if !open.is_empty() {
            parts.push(closed(&open, &kept));
        }
        open = vec![last];
        let alone = whole(&open, &kept).chars().count();
        if alone > longest {
            return Err(alone);
        }
    }
    if !open.is_empty() {
        parts.push(closed(&open, &kept));
    }
    Ok(parts)
}

fn closed(open: &[(String, String)], kept: &[String]) -> (String, Vec<String>) {
    let numbers = open.iter().map(|(_, number)| number.clone());
    (whole(open, kept), numbers.collect())
}

fn whole(open: &[(String, String)], kept: &[String]) -> String {
    let expressions: Vec<&str> = open
        .iter()
        .map(|(expression, _)| expression.as_str())
        .collect();
    let mut text = "^".to_owned();
    if !kept.is_empty() {
        text.push_str(&format!("(?!(?:{})$)", kept.join("|")));
    }
    match expressions[..] {
        [only] if !only.contains('|') => text.push_str(only),
        _ => text.push_str(&format!("(?:{})", expressions.join("|"))),
    }
    text.push('$');
    text
}

/// One pattern without its anchors.
fn one(text: &str) -> String {
    let text = text.trim();
    if text == "*" {
        return r"\+?[0-9]+".to_owned();
    }
    if let Some((first, last)) = text.split_once('-') {
        let (plus, first) = digits(first.trim());
        let (_, last) = digits(last.trim());
        return format!("{plus}{}", range(first, last));
    }
    let mut out = String::new();
    let mut any = 0;
    for c in text.chars() {
        if c == '?' {
            any += 1;
            continue;
        }
        flush(&mut out, &mut any);
        match c {
            '+' => out.push_str(r"\+"),
            '*' if out.is_empty() => out.push_str(r"\+?[0-9]*"),
            '*' => out.push_str("[0-9]*"),
            digit => out.push(digit),
        }
    }
    flush(&mut out, &mut any);
    out
}

/// Writes the wildcards for one digit that were collected.
fn flush(out: &mut String, any: &mut usize) {
    match std::mem::take(any) {
        0 => {}
        1 => out.push_str("[0-9]"),
        many => out.push_str(&format!("[0-9]{{{many}}}")),
    }
}

fn digits(text: &str) -> (&'static str, &str) {
    match text.strip_prefix('+') {
        Some(digits) => (r"\+", digits),
        None => ("", text),
    }
}

/// Every number of the same length from `first` to `last`.
fn range(first: &str, last: &str) -> String {
    let same = first
        .bytes()
        .zip(last.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    let (head, low, high) = (&first[..same], &first[same..], &last[same..]);
    let alternatives = between(low, high);
    match &alternatives[..] {
        [only] => format!("{head}{only}"),
        many => format!("{head}(?:{})", many.join("|")),
    }
}

/// Alternatives that match the digits from `low` to `high`, which are of one length.
fn between(low: &str, high: &str) -> Vec<String> {
    let (Some(&first), Some(&last)) = (low.as_bytes().first(), high.as_bytes().first()) else {
        return vec![String::new()];
    };
    let rest = low.len() - 1;
    let lowest = low.bytes().skip(1).all(|digit| digit == b'0');
    let highest = high.bytes().skip(1).all(|digit| digit == b'9');
    if first == b'0' && last == b'9' && lowest && highest {
        let mut any = low.len();
        let mut all = String::new();
        flush(&mut all, &mut any);
        return vec![all];
    }
    if first == last {
        let digit = char::from(first);
        let inner = between(&low[1..], &high[1..]);
        return inner
            .iter()
            .map(|inner| format!("{digit}{inner}"))
            .collect();
    }
    let mut alternatives = Vec::new();
    let (mut from, mut to) = (first, last);
    if !lowest {
        let nines = "9".repeat(rest);
        let digit = char::from(first);
        let inner = between(&low[1..], &nines);
        alternatives.extend(inner.iter().map(|inner| format!("{digit}{inner}")));
        from += 1;
    }
    let tail = (!highest).then(|| {
        to -= 1;
        let zeros = "0".repeat(rest);
        let digit = char::from(last);
        let inner = between(&zeros, &high[1..]);
        inner
            .into_iter()
            .map(move |inner| format!("{digit}{inner}"))
    });
    if from <= to {
        let mut any = rest;
        let mut middle = match (from, to) {
            (from, to) if from == to => char::from(from).to_string(),
            (from, to) => format!("[{}-{}]", char::from(from), char::from(to)),
        };
        flush(&mut middle, &mut any);
        alternatives.push(middle);
    }
    alternatives.extend(tail.into_iter().flatten());
    alternatives
}

#[cfg(test)]
mod tests {
    use routing::Pattern;

    use super::*;
    use crate::acs::language::Judge;

    fn compiled(number: &str) -> String {
        let parts = compile(&[number.to_owned()], &[], 1024).expect("short");
        parts[0].0.clone()
    }

    #[test]
    fn patterns_are_written_as_azure_reads_them() {
        for (number, expression) in [
            ("+14255550100", r"^\+14255550100$"),
            ("+1800*", r"^\+1800[0-9]*$"),
            ("+1425555????", r"^\+1425555[0-9]{4}$"),
            ("911", "^911$"),
            ("*", r"^\+?[0-9]+$"),
            ("+14255550100-+14255550199", r"^\+142555501[0-9]{2}$"),
            (
                "+14255550195-+14255550204",
                r"^\+14255550(?:19[5-9]|20[0-4])$",
            ),
        ] {
            assert_eq!(compiled(number), expression, "{number}");
        }
    }

    /// The gateway's own matcher and the expression agree about every number of four digits.
    #[test]
    fn both_sides_match_the_same_numbers() {
        for text in [
            "+12*",
            "+1?3?",
            "+1000-+1999",
            "+1234-+5678",
            "+0007-+0007",
            "+0999-+1001",
            "+9*9",
            "*",
            "1234-4321",
            "+1?*",
        ] {
            let pattern = Pattern::parse(text).expect(text);
            let judge = Judge::new(&compiled(text)).expect("judged");
            for number in 0..10_000 {
                for number in [format!("+{number:04}"), format!("{number:04}")] {
                    assert_eq!(
                        judge.matches(&number),
                        pattern.matches(&number),
                        "{text} {number}"
                    );
                }
            }
        }
    }

    #[test]
    fn numbers_left_to_microsoft_are_taken_out() {
        let kept = ["+1800*".to_owned(), "+1888*".to_owned()];
        let parts = compile(&["+1*".to_owned()], &kept, 1024).expect("short");
        assert_eq!(parts[0].0, r"^(?!(?:\+1800[0-9]*|\+1888[0-9]*)$)\+1[0-9]*$");
        let judge = Judge::new(&parts[0].0).expect("judged");
        assert!(judge.matches("+14255550100"));
        assert!(!judge.matches("+18005550100") && !judge.matches("+18885550100"));
        assert!(!judge.matches("+4420"));
    }

    #[test]
    fn what_is_too_long_for_one_is_put_into_several() {
        let numbers: Vec<String> = (0..40).map(|line| format!("+142555501{line:02}")).collect();
        let parts = compile(&numbers, &[], 100).expect("each is short");
        assert!(parts.iter().all(|(pattern, _)| pattern.len() <= 100));
        let told: Vec<String> = parts.into_iter().flat_map(|(_, numbers)| numbers).collect();
        assert_eq!(told, numbers);
        assert_eq!(compile(&numbers, &[], 10), Err(15));
    }
}
