//! The known failure causes F-01 to F-30, each with the row or test that would show it.
