//! The daemon as a black box over real sockets, judged by programs nobody here wrote.

mod baresip;
mod check;
mod demo;
mod kamailio;
mod one_way;
mod run;
mod tls_peers;
