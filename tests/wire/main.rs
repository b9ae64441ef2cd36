//! The daemon as a black box over real sockets, judged by programs nobody here wrote.

mod acceptance;
mod azure_away;
mod azure_routing;
mod baresip;
mod calls;
mod check;
mod demo;
mod drain;
mod hostile;
mod ipv6;
mod kamailio;
mod linphone;
mod media;
mod numbers;
mod one_way;
mod pjsua;
mod registrations;
mod reload;
mod run;
mod scanners;
mod sdk;
mod store;
mod strangers;
mod stunnel;
mod telephones;
mod tls_peers;
