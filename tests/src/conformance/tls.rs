//! TLS connections that a row makes itself.
