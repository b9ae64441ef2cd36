//! Names the user agent gives to what it keeps. They are never reused within one agent.

use std::fmt;

macro_rules! key {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

key!(
    /// A server transaction: a request that a peer sent us (RFC 3261 §17.2).
    ServerKey,
    "s"
);
key!(
    /// A client transaction of the transaction user, failover included: the request keeps its key
    /// while it is tried at one address after the other (RFC 3261 §17.1, RFC 3263 §4.3).
    ClientKey,
    "c"
);
key!(
    /// A dialog, early or confirmed (RFC 3261 §12).
    DialogKey,
    "d"
);
