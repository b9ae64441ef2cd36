//! The digits of a keypad: event codes of RFC 4733 §3.2, frequencies of ITU-T Q.23.

use std::fmt;

/// The four tones of the rows and the four of the columns, in Hz (ITU-T Q.23 §6).
pub const ROWS: [u16; 4] = [697, 770, 852, 941];
/// See [`ROWS`].
pub const COLUMNS: [u16; 4] = [1209, 1336, 1477, 1633];

const KEYPAD: [[u8; 4]; 4] = [*b"123A", *b"456B", *b"789C", *b"*0#D"];

/// A digit that can be dialled: `0`-`9`, `*`, `#`, `A`-`D`, or `!` for a flash of the hook.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digit(u8);

impl Digit {
    /// The flash of the hook, which has a code and no tones.
    pub const FLASH: Self = Self(16);

    /// The digit of an event code of RFC 4733 §3.2: 0..=16.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        (code <= 16).then_some(Self(code))
    }

    /// Its event code.
    #[must_use]
    pub fn code(self) -> u8 {
        self.0
    }

    /// Reads a digit as it is written; letters in either case.
    #[must_use]
    pub fn from_char(digit: char) -> Option<Self> {
        let digit = u8::try_from(digit).ok()?.to_ascii_uppercase();
        (0..=16).map(Self).find(|known| known.byte() == digit)
    }

    /// The digit as it is written.
    #[must_use]
    pub fn as_char(self) -> char {
        char::from(self.byte())
    }

    /// The digit of a row and a column of the keypad, each 0..=3.
    #[must_use]
    pub fn at(row: usize, column: usize) -> Option<Self> {
        let byte = *KEYPAD.get(row)?.get(column)?;
        Self::from_char(char::from(byte))
    }

    /// Its two frequencies in Hz; `None` for a flash.
    #[must_use]
    pub fn frequencies(self) -> Option<[u16; 2]> {
        let row = KEYPAD.iter().position(|row| row.contains(&self.byte()))?;
        let column = KEYPAD[row].iter().position(|byte| *byte == self.byte())?;
        Some([ROWS[row], COLUMNS[column]])
    }

    fn byte(self) -> u8 {
        b"0123456789*#ABCD!"[usize::from(self.0)]
    }
}

impl fmt::Debug for Digit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is dialled during a call is as private as a number: cards and PINs are dialled.
        f.write_str("Digit(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_letters_and_tones_agree() {
        for code in 0..=16 {
            let digit = Digit::from_code(code).unwrap();
            assert_eq!(Digit::from_char(digit.as_char()), Some(digit));
            assert_eq!(digit.frequencies().is_none(), digit == Digit::FLASH);
        }
        assert_eq!(Digit::from_code(17), None);
        assert_eq!(Digit::from_char('d').map(Digit::code), Some(15));
        assert_eq!(Digit::from_char('x'), None);
        let five = Digit::from_char('5').unwrap();
        assert_eq!(five.frequencies(), Some([770, 1336]));
        assert_eq!(Digit::at(1, 1), Some(five));
        assert_eq!(Digit::at(3, 3), Digit::from_char('D'));
        assert_eq!(Digit::at(4, 0), None);
    }

    #[test]
    fn what_was_dialled_is_not_printed() {
        assert!(!format!("{:?}", Digit::from_char('7')).contains('7'));
    }
}
