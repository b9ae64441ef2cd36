//! System calls that no library offers safely: the only unsafe code of the media plane.
//!
//! Each module gives a type whose methods are safe whatever they are called with.
#![allow(unsafe_code)] // each block says why it is sound

pub(crate) mod uring;
