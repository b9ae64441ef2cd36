//! What the benches share.
#![allow(
    unsafe_code,
    reason = "a global allocator is an unsafe trait; nothing else here is"
)]

pub mod gateway;

pub mod alloc {
    //! Counting allocations: linking this crate replaces the global allocator of the bench.

    use std::alloc::{GlobalAlloc, Layout, System};
    use std::cell::Cell;

    struct Counting;

    #[global_allocator]
    static COUNTING: Counting = Counting;

    thread_local! {
        static COUNTED: Cell<Allocations> = const { Cell::new(Allocations { calls: 0, bytes: 0 }) };
        static HELD: Cell<i64> = const { Cell::new(0) };
    }

    /// What was allocated by one thread. Growing a buffer counts as an allocation of its new size.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Allocations {
        /// Calls of the allocator.
        pub calls: u64,
        /// Octets asked for.
        pub bytes: u64,
    }

    fn hold(octets: i64) {
        let _ = HELD.try_with(|held| held.set(held.get() + octets));
    }

    fn note(size: usize) {
        hold(size as i64);
        // A thread that is being taken down has no counter any more, and nobody who reads it.
        let _ = COUNTED.try_with(|counted| {
            let before = counted.get();
            counted.set(Allocations {
                calls: before.calls + 1,
                bytes: before.bytes + size as u64,
            });
        });
    }

    // SAFETY: every call is passed on unchanged to the system's allocator, which keeps the
    // contract; counting touches only a constant-initialised thread-local and never allocates.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            note(layout.size());
            // SAFETY: the caller's guarantees are those System asks for.
            unsafe { System.alloc(layout) }
        }

        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            note(layout.size());
            // SAFETY: the caller's guarantees are those System asks for.
            unsafe { System.alloc_zeroed(layout) }
        }

        unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            note(size);
            hold(-(layout.size() as i64));
            // SAFETY: the block came from System, by alloc above.
            unsafe { System.realloc(block, layout, size) }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            hold(-(layout.size() as i64));
            // SAFETY: the block came from System, by alloc above.
            unsafe { System.dealloc(block, layout) }
        }
    }

    /// Runs `work` and counts what this thread allocates meanwhile.
    pub fn count<T>(work: impl FnOnce() -> T) -> (T, Allocations) {
        let before = COUNTED.with(Cell::get);
        let result = work();
        let after = COUNTED.with(Cell::get);
        let counted = Allocations {
            calls: after.calls - before.calls,
            bytes: after.bytes - before.bytes,
        };
        (result, counted)
    }

    /// Runs `work` and tells by how many octets this thread holds more afterwards, its result
    /// included, without what the allocator itself adds.
    pub fn held<T>(work: impl FnOnce() -> T) -> (T, i64) {
        let before = HELD.with(Cell::get);
        let result = work();
        (result, HELD.with(Cell::get) - before)
    }
}
