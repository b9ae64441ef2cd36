//! SIP-date, RFC 3261 §25.1: `Sat, 13 Nov 2010 23:29:00 GMT`.

use crate::lex;

/// Seconds since 1970-01-01T00:00:00Z.
pub(crate) fn parse(text: &[u8]) -> Option<u64> {
    let text = str::from_utf8(text).ok()?;
    let mut words = text.split_ascii_whitespace();
    let weekday = words.next()?.strip_suffix(',')?;
    let (day, month, year) = (words.next()?, words.next()?, words.next()?);
    let (time, zone) = (words.next()?, words.next()?);
    let known = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].contains(&weekday);
    if !known || zone != "GMT" || words.next().is_some() || year.len() != 4 {
        return None;
    }
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let month = 1 + u64::try_from(MONTHS.iter().position(|&name| name == month)?).ok()?;
    let mut clock = time
        .split(':')
        .map(|part| lex::number::<u64>(part.as_bytes()));
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let (day, year): (u64, u64) = (lex::number(day.as_bytes())?, lex::number(year.as_bytes())?);
    let legal = hour < 24 && minute < 60 && second <= 60 && (1..=31).contains(&day) && year >= 1970;
    if !legal || clock.next().is_some() {
        return None;
    }
    Some(((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// Days from 1970-01-01, counting years from 1 March so that the leap day is the last.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_gmt_is_a_sip_date() {
        assert_eq!(parse(b"Sat, 13 Nov 2010 23:29:00 GMT"), Some(1_289_690_940));
        assert_eq!(parse(b"Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(parse(b"Fri, 01 Jan 2010 16:00:00 EST"), None);
        assert_eq!(parse(b"Sat, 13 Nov 2010 24:00:00 GMT"), None);
        assert_eq!(parse(b"13 Nov 2010"), None);
    }
}
