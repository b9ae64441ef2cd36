use std::ops::Range;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::lex::{self, Items};
use crate::name::{HeaderName, OTHER};

/// Header fields kept without an allocation of their own: few, for a message is moved often.
const INLINE: usize = 2;

/// Header fields that room is made for at once; a carrier's INVITE has about 25.
const USUAL: usize = 16;

/// Octets of names and values that room is made for at once in a message of our own.
const USUAL_TEXT: usize = 768;

/// The header fields of a message: order, names as written and values byte for byte.
///
/// Fields that were parsed share the message's buffer, those that were added are in a second one.
/// What is added cannot break out of its field: CR, LF and NUL become spaces.
#[derive(Clone, Default)]
pub struct Headers {
    received: Bytes,
    added: Vec<u8>,
    fields: SmallVec<[Field; INLINE]>,
    /// Octets of `added` no field uses any more.
    unused: usize,
}

/// Where a field's name and value are: offsets into the received head, or into `added` if the
/// highest bit is set.
#[derive(Clone, Copy, Debug)]
struct Field {
    index: u8,
    name_length: u8,
    name: u32,
    value: u32,
    value_length: u32,
}

const ADDED: u32 = 1 << 31;

/// Unused octets from which on [`Headers`] tidies its second buffer.
const TIDY: usize = 2048;

/// One header field.
#[derive(Clone, Copy, Debug)]
pub struct HeaderField<'a> {
    index: u8,
    raw_name: &'a [u8],
    value: &'a [u8],
}

impl<'a> HeaderField<'a> {
    /// The name. Allocates for a name without a variant of its own; see [`HeaderField::is`].
    pub fn name(&self) -> HeaderName {
        HeaderName::known(self.index).cloned().unwrap_or_else(|| {
            HeaderName::Other(String::from_utf8_lossy(self.raw_name).into_owned().into())
        })
    }

    /// Whether this is a field of that name.
    pub fn is(&self, name: &HeaderName) -> bool {
        let index = name.normal_index();
        self.index == index
            && (index != OTHER
                || self
                    .raw_name
                    .eq_ignore_ascii_case(name.canonical().as_bytes()))
    }

    /// The name as written.
    pub fn raw_name(&self) -> &'a [u8] {
        self.raw_name
    }

    /// The value: without blanks around it, folds replaced by one space each.
    pub fn value(&self) -> &'a [u8] {
        self.value
    }
}

impl Headers {
    /// No header fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Fields to be added with [`Self::push_received`], whose text is in `received`.
    pub(crate) fn of(received: Bytes) -> Self {
        Self {
            received,
            ..Self::default()
        }
    }

    /// What the message was parsed from, its body included; empty if it was not.
    pub(crate) fn received(&self) -> &Bytes {
        &self.received
    }

    /// Adds a field that is part of the received head.
    pub(crate) fn push_received(&mut self, index: u8, name: Range<usize>, value: Range<usize>) {
        self.make_room();
        self.fields.push(Field {
            index,
            name_length: u8::try_from(name.len()).unwrap_or(u8::MAX),
            name: position(name.start),
            value: position(value.start),
            value_length: position(value.len()),
        });
    }

    /// Adds a field whose name is part of the received head and whose value was folded there.
    pub(crate) fn push_unfolded(&mut self, index: u8, name: Range<usize>, value: &[u8]) {
        let start = self.added.len();
        self.added.extend_from_slice(value);
        self.push_received(index, name, 0..value.len());
        if let Some(field) = self.fields.last_mut() {
            field.value = position(start) | ADDED;
        }
    }

    /// How many header fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The index of every field's name with its value, in order.
    pub(crate) fn indexed(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.fields
            .iter()
            .map(|field| (field.index, self.value(field)))
    }

    /// Every header field, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = HeaderField<'_>> + ExactSizeIterator {
        self.fields.iter().map(|field| self.view(field))
    }

    /// The value of the first field `name`.
    pub fn get(&self, name: &HeaderName) -> Option<&[u8]> {
        let index = name.normal_index();
        if index == OTHER {
            return self.get_all(name).next();
        }
        self.fields
            .iter()
            .find(|field| field.index == index)
            .map(|field| self.value(field))
    }

    /// The value of the first field `name`; `None` also if it is not UTF-8.
    pub fn get_str(&self, name: &HeaderName) -> Option<&str> {
        str::from_utf8(self.get(name)?).ok()
    }

    /// The values of all fields `name`, in order.
    pub fn get_all<'s>(&'s self, name: &HeaderName) -> impl Iterator<Item = &'s [u8]> {
        self.positions(name).map(|at| self.value(&self.fields[at]))
    }

    /// The comma separated items of all fields `name`, in order. Commas in quoted strings and
    /// angle brackets do not separate.
    pub fn items<'s>(&'s self, name: &HeaderName) -> impl Iterator<Item = &'s [u8]> {
        self.get_all(name).flat_map(Items)
    }

    /// Whether there is a field `name`.
    pub fn contains(&self, name: &HeaderName) -> bool {
        self.positions(name).next().is_some()
    }

    /// Adds a field behind all others.
    ///
    /// CR, LF and NUL in the value become spaces; a field whose name is no token is not added.
    pub fn push(&mut self, name: HeaderName, value: impl AsRef<[u8]>) {
        if let Some(field) = self.add_named(&name, value.as_ref()) {
            self.fields.push(field);
        }
    }

    /// Adds a field of another message under the usual spelling of its name, behind all others.
    pub fn push_field(&mut self, field: HeaderField<'_>) {
        let added = match HeaderName::known(field.index) {
            Some(name) => self.add_known(field.index, name.canonical().as_bytes(), field.value),
            None => self.add(field.raw_name, field.value),
        };
        if let Some(added) = added {
            self.fields.push(added);
        }
    }

    /// Adds a field under the name as written, which [`HeaderField::raw_name`] gives, behind all
    /// others.
    pub fn push_raw(&mut self, raw_name: &[u8], value: impl AsRef<[u8]>) {
        if let Some(field) = self.add(raw_name, value.as_ref()) {
            self.fields.push(field);
        }
    }

    /// Adds a field before all others, as [`Headers::push`].
    pub fn push_front(&mut self, name: HeaderName, value: impl AsRef<[u8]>) {
        if let Some(field) = self.add_named(&name, value.as_ref()) {
            self.fields.insert(0, field);
        }
    }

    /// Gives the first field `name` this value and removes the others; adds it if there is none.
    pub fn set(&mut self, name: HeaderName, value: impl AsRef<[u8]>) {
        let first = self.positions(&name).next();
        let Some(first) = first else {
            return self.push(name, value);
        };
        let Some(mut new) = self.add_named(&name, value.as_ref()) else {
            return;
        };
        self.release(first);
        // The name stays as the sender wrote it.
        (new.name, new.name_length) = (self.fields[first].name, self.fields[first].name_length);
        self.fields[first] = new;
        self.remove_from(&name, first + 1);
    }

    /// Replaces the value of the `nth` field `name`, counted from 0; tells whether there is one.
    pub fn replace_nth(&mut self, name: &HeaderName, nth: usize, value: impl AsRef<[u8]>) -> bool {
        let Some(at) = self.positions(name).nth(nth) else {
            return false;
        };
        let raw_name = self.view(&self.fields[at]).raw_name().to_vec();
        let Some(new) = self.add(&raw_name, value.as_ref()) else {
            return false;
        };
        self.release(at);
        self.fields[at] = new;
        true
    }

    /// Removes all fields `name`; tells how many there were.
    pub fn remove(&mut self, name: &HeaderName) -> usize {
        self.remove_from(name, 0)
    }

    /// Removes the first field `name`; tells whether there was one.
    pub fn remove_first(&mut self, name: &HeaderName) -> bool {
        let first = self.positions(name).next();
        let Some(at) = first else { return false };
        self.release(at);
        self.fields.remove(at);
        true
    }

    /// Removes the fields `keep` is false for.
    pub fn retain(&mut self, mut keep: impl FnMut(HeaderField<'_>) -> bool) {
        let mut at = 0;
        while let Some(field) = self.fields.get(at) {
            if keep(self.view(field)) {
                at += 1;
            } else {
                self.release(at);
                self.fields.remove(at);
            }
        }
    }

    fn remove_from(&mut self, name: &HeaderName, from: usize) -> usize {
        let before = self.fields.len();
        let mut at = from;
        while let Some(field) = self.fields.get(at) {
            if self.view(field).is(name) {
                self.release(at);
                self.fields.remove(at);
            } else {
                at += 1;
            }
        }
        before - self.fields.len()
    }

    fn positions<'s>(&'s self, name: &HeaderName) -> impl Iterator<Item = usize> + use<'s> {
        let index = name.normal_index();
        let other: Option<Box<[u8]>> = (index == OTHER).then(|| name.canonical().as_bytes().into());
        let matches = move |field: &Field| {
            field.index == index
                && other.as_ref().is_none_or(|other| {
                    self.text(field.name, usize::from(field.name_length))
                        .eq_ignore_ascii_case(other)
                })
        };
        self.fields
            .iter()
            .enumerate()
            .filter(move |(_, field)| matches(field))
            .map(|(at, _)| at)
    }

    fn make_room(&mut self) {
        if self.fields.is_empty() {
            self.fields.reserve(USUAL);
            if self.received.is_empty() {
                self.added.reserve(USUAL_TEXT);
            }
        }
    }

    fn add_named(&mut self, name: &HeaderName, value: &[u8]) -> Option<Field> {
        let text = name.canonical().as_bytes();
        if let HeaderName::Other(_) = name {
            return self.add(text, value);
        }
        self.add_known(name.normal_index(), text, value)
    }

    fn add(&mut self, name: &[u8], value: &[u8]) -> Option<Field> {
        let index = HeaderName::lookup(name)?;
        self.add_known(index, name, value)
    }

    /// Adds the text of a field whose name is a token with this index.
    fn add_known(&mut self, index: u8, name: &[u8], value: &[u8]) -> Option<Field> {
        self.make_room();
        self.tidy();
        let start = self.added.len();
        self.added.extend_from_slice(name);
        let value_start = self.added.len();
        // Without a branch for each octet, so that the compiler looks at many at once.
        let plain = value
            .iter()
            .fold(true, |plain, &byte| plain & (byte >= b' '));
        if plain {
            let value = lex::trim(value);
            self.added.extend_from_slice(value);
            return Some(Field {
                index,
                name_length: u8::try_from(name.len()).ok()?,
                name: position(start) | ADDED,
                value: position(value_start) | ADDED,
                value_length: position(value.len()),
            });
        }
        let neutral = |&byte: &u8| {
            if matches!(byte, b'\r' | b'\n' | 0) {
                b' '
            } else {
                byte
            }
        };
        self.added.extend(lex::trim(value).iter().map(neutral));
        let kept = lex::trim(&self.added[value_start..]).len();
        // Neutralised line ends at the edges are blanks now; drop them as the parser would.
        let lead =
            self.added.len() - value_start - lex::trim_start(&self.added[value_start..]).len();
        Some(Field {
            index,
            name_length: u8::try_from(name.len()).ok()?,
            name: position(start) | ADDED,
            value: position(value_start + lead) | ADDED,
            value_length: position(kept),
        })
    }

    /// Counts what the field at `at` had in the second buffer as unused.
    fn release(&mut self, at: usize) {
        let field = self.fields[at];
        if field.value & ADDED != 0 {
            self.unused += field.value_length as usize;
        }
    }

    /// Rebuilds the second buffer once most of it is unused, so that a message that is changed
    /// again and again does not grow.
    fn tidy(&mut self) {
        if self.unused < TIDY || self.unused < self.added.len() / 2 {
            return;
        }
        let before = std::mem::take(&mut self.added);
        self.unused = 0;
        let added = &mut self.added;
        let mut keep = |at: &mut u32, length: usize| {
            if *at & ADDED != 0 {
                let start = (*at & !ADDED) as usize;
                *at = position(added.len()) | ADDED;
                added.extend_from_slice(&before[start..start + length]);
            }
        };
        for field in &mut self.fields {
            keep(&mut field.name, usize::from(field.name_length));
            keep(&mut field.value, field.value_length as usize);
        }
    }

    fn view(&self, field: &Field) -> HeaderField<'_> {
        HeaderField {
            index: field.index,
            raw_name: self.text(field.name, usize::from(field.name_length)),
            value: self.value(field),
        }
    }

    fn value(&self, field: &Field) -> &[u8] {
        self.text(field.value, field.value_length as usize)
    }

    fn text(&self, at: u32, length: usize) -> &[u8] {
        let start = (at & !ADDED) as usize;
        let buffer: &[u8] = if at & ADDED == 0 {
            &self.received
        } else {
            &self.added
        };
        &buffer[start..start + length]
    }

    #[cfg(test)]
    pub(crate) fn added_capacity(&self) -> usize {
        self.added.capacity()
    }

    /// `part` of a value as a buffer of its own: shared if it was received, else copied.
    pub(crate) fn share(&self, part: &[u8]) -> Bytes {
        let received = self.received.as_ptr_range();
        if received.contains(&part.as_ptr()) {
            return self.received.slice_ref(part);
        }
        Bytes::copy_from_slice(part)
    }
}

/// Messages are shorter than 2 GiB, which `parse` makes sure of.
fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX) & !ADDED
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self
                .iter()
                .zip(other.iter())
                .all(|(one, two)| one.raw_name == two.raw_name && one.value == two.value)
    }
}

impl Eq for Headers {}

impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |bytes| String::from_utf8_lossy(bytes);
        f.debug_list()
            .entries(
                self.iter()
                    .map(|field| (text(field.raw_name), text(field.value))),
            )
            .finish()
    }
}
