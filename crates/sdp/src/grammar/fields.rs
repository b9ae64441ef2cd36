//! The fields of single lines. An error is the field or rule concerned.

/// The lines of which a section may have one only, and those that it had.
#[derive(Debug, Default)]
pub(super) struct Seen(u32);

impl Seen {
    /// Notes a line; whether it is there twice that may be there once.
    pub(super) fn refuses(&mut self, key: u8, in_media: bool) -> bool {
        let single: &[u8] = if in_media { b"ik" } else { b"osiuczk" };
        let twice = self.has(key) && single.contains(&key);
        self.0 |= bit(key);
        twice
    }

    pub(super) fn has(&self, key: u8) -> bool {
        self.0 & bit(key) != 0
    }
}

/// The bit of a letter, none for anything else.
fn bit(key: u8) -> u32 {
    match key {
        b'a'..=b'z' => 1 << (key - b'a'),
        _ => 0,
    }
}

/// The letter and the value of a line.
pub(super) fn split(line: &str) -> Result<(u8, &str), &'static str> {
    let bytes = line.as_bytes();
    // RFC 8866 §9, byte-string. Without a branch for each octet, so that the compiler looks at many
    // at once.
    let whole = |whole, &byte: &u8| whole & (byte != 0) & (byte != b'\r');
    if !bytes.iter().fold(true, whole) {
        return Err("Line contains NUL or CR");
    }
    match bytes {
        [key, b'=', ..] if *key != b'=' => Ok((*key, &line[2..])),
        _ if bytes.contains(&b'=') => Err("Line key not 1 character"),
        _ => Err("Line not in key=value format"),
    }
}

/// The fields of an `m=` line that are asked for.
pub(super) struct Media<'a> {
    pub(super) media: &'a str,
    pub(super) port: u16,
    pub(super) proto: &'a str,
    pub(super) fmt: &'a str,
}

pub(super) fn media(value: &str) -> Result<Media<'_>, &'static str> {
    let mut fields = value.splitn(4, ' ');
    let media = fields.next().ok_or("Media name")?;
    let ports = fields.next().ok_or("Media port")?;
    let (port, count) = match ports.split_once('/') {
        Some((port, count)) => (port, Some(count)),
        None => (ports, None),
    };
    let port = port.parse().map_err(|_| "Media port")?;
    if count.is_some_and(|count| count.parse::<u16>().is_err()) {
        return Err("Media num-ports");
    }
    Ok(Media {
        media,
        port,
        proto: fields.next().ok_or("Media proto")?,
        fmt: fields.next().ok_or("Media fmt")?,
    })
}

/// The address of a `c=` line.
pub(super) fn connection(value: &str) -> Result<&str, &'static str> {
    let mut fields = words(value);
    for rule in ["Connection nettype", "Connection addrtype"] {
        fields.next().filter(|field| is_token(field)).ok_or(rule)?;
    }
    let address = fields.next().ok_or("Connection connection-address")?;
    match fields.next() {
        None => Ok(address),
        Some(_) => Err("Connection"),
    }
}

/// The version of an `o=` line, which was made grammatical.
pub(super) fn version(value: &str) -> u64 {
    let field = words(value).nth(2);
    field.and_then(|field| field.parse().ok()).unwrap_or(0)
}

pub(super) fn time(value: &str) -> Result<(), &'static str> {
    let mut fields = words(value);
    for rule in ["Time start-time", "Time stop-time"] {
        let number = fields.next().and_then(|field| field.parse::<u64>().ok());
        number.ok_or(rule)?;
    }
    fields.next().map_or(Ok(()), |_| Err("Time"))
}

pub(super) fn repeat(value: &str) -> Result<(), &'static str> {
    let mut fields = words(value);
    for rule in ["Repeat repeat-interval", "Repeat active-duration"] {
        fields.next().and_then(seconds).ok_or(rule)?;
    }
    match fields.all(|field| seconds(field).is_some()) {
        true => Ok(()),
        false => Err("Repeat offset"),
    }
}

pub(super) fn zones(value: &str) -> Result<(), &'static str> {
    let mut fields = words(value);
    while let Some(adjustment) = fields.next() {
        let adjustment = adjustment.parse::<u64>();
        adjustment.map_err(|_| "TimeZone adjustment-time")?;
        let offset = fields.next().ok_or("TimeZone offset")?;
        let (sign, length) = match offset.strip_prefix('-') {
            Some(length) => (-1, length),
            None => (1, offset),
        };
        let length = seconds(length).ok_or("TimeZone offset")?;
        i64::try_from(sign * i128::from(length)).map_err(|_| "TimeZone offset")?;
    }
    Ok(())
}

/// A length of time, perhaps in days, hours or minutes (RFC 8866 §5.10).
fn seconds(field: &str) -> Option<u64> {
    let (number, unit) = match field.as_bytes().last()? {
        b'd' => (&field[..field.len() - 1], 86_400),
        b'h' => (&field[..field.len() - 1], 3_600),
        b'm' => (&field[..field.len() - 1], 60),
        b's' => (&field[..field.len() - 1], 1),
        _ => (field, 1),
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// Fields are not empty, so more than one space separates as one does.
fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split(' ').filter(|field| !field.is_empty())
}

fn is_token(field: &str) -> bool {
    field
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]".contains(&byte))
}
