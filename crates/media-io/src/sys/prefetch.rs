//! Memory that will be needed soon.

use media_relay::Fetch;

/// A line of the processor's cache, in octets.
const LINE: usize = 64;

/// Has the processor bring memory into its cache while it goes on; nothing where it has no
/// instruction for that.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prefetch;

impl Fetch for Prefetch {
    #[inline]
    fn fetch<T>(&mut self, value: &T) {
        lines(std::ptr::from_ref(value).cast(), size_of::<T>());
    }
}

/// The same for so many octets from an address on.
#[inline]
pub(super) fn lines(start: *const u8, octets: usize) {
    for line in 0..octets.div_ceil(LINE) {
        line_at(start.wrapping_add(line * LINE));
    }
    // What does not begin with a line ends in one more.
    line_at(start.wrapping_add(octets.saturating_sub(1)));
}

#[cfg(target_arch = "x86_64")]
fn line_at(at: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a hint to the processor, which reads nothing for the program and faults for no
    // address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
}

#[cfg(not(target_arch = "x86_64"))]
fn line_at(_: *const u8) {}
