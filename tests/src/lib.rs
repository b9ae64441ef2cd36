//! What the wire tests share.
