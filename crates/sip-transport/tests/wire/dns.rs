//! Raw records, from fixed addresses and from a server.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, NAPTR, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType as Wire};
use sip_msg::dns::{DnsAnswer, DnsError, Naptr, Query, RecordType, Records, Srv};
use sip_transport::{Incoming, ResolverConfig, TransportConfig, TransportLimits};
use tokio::net::UdpSocket;

use crate::rig::*;

async fn ask(end: &mut End, name: &str, kind: RecordType) -> DnsAnswer {
    end.transport.resolve(Query {
        name: name.into(),
        kind,
    });
    match end.next().await {
        Incoming::Dns(answer) => answer,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn fixed_names_need_no_server() {
    let addresses = vec!["127.0.0.5".parse().unwrap(), "::1".parse().unwrap()];
    let mut end = End::start(TransportConfig {
        host_map: BTreeMap::from([("SIP.peer.example".into(), addresses)]),
        ..config(vec![], vec![])
    });
    let four = ask(&mut end, "sip.peer.example.", RecordType::A).await;
    assert_eq!(
        four.result,
        Ok(Records::Addresses(vec!["127.0.0.5".parse().unwrap()]))
    );
    let six = ask(&mut end, "sip.peer.example", RecordType::Aaaa).await;
    assert_eq!(
        six.result,
        Ok(Records::Addresses(vec!["::1".parse().unwrap()]))
    );
    let none = ask(&mut end, "sip.peer.example", RecordType::Srv).await;
    assert_eq!(none.result, Err(DnsError::NoData));
    let unknown = ask(&mut end, "other.example", RecordType::A).await;
    assert_eq!(unknown.result, Err(DnsError::NoSuchName));
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// Answers what it knows, denies the rest, and is deaf to names that begin with `silent`.
async fn serve(socket: UdpSocket) {
    let mut buffer = [0; 2048];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let query = Message::from_vec(&buffer[..length]).unwrap();
        let question = query.queries[0].clone();
        let asked = question.name().clone();
        let text = asked.to_ascii().to_ascii_lowercase();
        let data = match (text.as_str(), question.query_type()) {
            (name, _) if name.starts_with("silent") => continue,
            ("sip.peer.example.", Wire::A) => Some(RData::A(A::new(192, 0, 2, 7))),
            ("_sips._tcp.peer.example.", Wire::SRV) => {
                Some(RData::SRV(SRV::new(1, 2, 5061, name("sip.peer.example."))))
            }
            ("peer.example.", Wire::NAPTR) => Some(RData::NAPTR(NAPTR::new(
                10,
                20,
                b"s".to_vec().into(),
                b"SIPS+D2T".to_vec().into(),
                Vec::new().into(),
                name("_sips._tcp.peer.example."),
            ))),
            _ => None,
        };
        let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
        answer.add_query(question);
        match data {
            Some(data) => {
                answer.add_answer(Record::from_rdata(asked, 77, data));
            }
            None if text.starts_with("no") => {
                answer.metadata.response_code = ResponseCode::NXDomain;
            }
            None => {}
        }
        socket
            .send_to(&answer.to_vec().unwrap(), from)
            .await
            .unwrap();
    }
}

async fn end_with_server() -> End {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = socket.local_addr().unwrap();
    tokio::spawn(serve(socket));
    let limits = TransportLimits {
        dns_timeout: Duration::from_millis(500),
        ..TransportLimits::default()
    };
    End::start(TransportConfig {
        resolver: ResolverConfig::Servers(vec![address]),
        limits,
        ..config(vec![], vec![])
    })
}

#[tokio::test]
async fn records_come_with_their_time_to_live() {
    let mut end = end_with_server().await;
    let answer = ask(&mut end, "sip.peer.example", RecordType::A).await;
    assert_eq!(
        answer.result,
        Ok(Records::Addresses(vec!["192.0.2.7".parse().unwrap()]))
    );
    assert_eq!(answer.ttl, Duration::from_secs(77));
    let answer = ask(&mut end, "_sips._tcp.peer.example", RecordType::Srv).await;
    let server = Srv {
        priority: 1,
        weight: 2,
        port: 5061,
        target: "sip.peer.example".into(),
    };
    assert_eq!(answer.result, Ok(Records::Srv(vec![server])));
    let answer = ask(&mut end, "peer.example", RecordType::Naptr).await;
    let rule = Naptr {
        order: 10,
        preference: 20,
        flags: "s".into(),
        service: "SIPS+D2T".into(),
        replacement: "_sips._tcp.peer.example".into(),
    };
    assert_eq!(answer.result, Ok(Records::Naptr(vec![rule])));
}

#[tokio::test]
async fn failures_are_told_apart() {
    let mut end = end_with_server().await;
    let answer = ask(&mut end, "no.such.example", RecordType::A).await;
    assert_eq!(answer.result, Err(DnsError::NoSuchName));
    let answer = ask(&mut end, "sip.peer.example", RecordType::Aaaa).await;
    assert_eq!(answer.result, Err(DnsError::NoData));
    let answer = ask(&mut end, "silent.example", RecordType::A).await;
    assert_eq!(answer.result, Err(DnsError::Timeout));
    let answer = ask(&mut end, "not a name..", RecordType::A).await;
    assert!(answer.result.is_err());
}
