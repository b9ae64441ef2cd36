//! Mutual TLS: who is accepted, what is shown, and what is counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use sip_msg::TransportKind::Tls;
use sip_msg::wire::TransportError;
use sip_transport::{
    ClientAuthentication, Counter, Identities, Identity, TlsClientSettings, TlsServerSettings,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use crate::authority::{Authority, ClientAuth, EmailProtection, Leaf, ServerAuth};
use crate::rig::*;

const OURS: &str = "sbc1.contoso.example";
const THEIRS: &str = "sip.peer.example";

/// Dials from an end with this identity, and says what the server counts and the client hears.
async fn dial(
    server: TlsServerSettings,
    identity: Option<Identity>,
    roots: sip_transport::Roots,
) -> (End, End, Result<sip_msg::wire::Arrival, TransportError>) {
    let mut server = End::start(config(vec![tls_listener(server)], vec![]));
    let mut client = End::start(config(vec![], vec![tls_trunk(identity, roots)]));
    client.send(to_hop(Tls, server.address(), OURS), options("dial"));
    let outcome = tokio::select! {
        (arrival, request) = server.request() => {
            server.send(back(&arrival), ok(&request));
            client.message().await;
            Ok(arrival)
        }
        (_, error) = client.failure() => Err(error),
    };
    (server, client, outcome)
}

#[tokio::test]
async fn both_sides_prove_their_names() {
    let authority = Authority::new();
    let settings = server(vec![authority.identity(OURS)], authority.roots());
    let (_server, client, outcome) = dial(
        settings,
        Some(authority.identity(THEIRS)),
        authority.roots(),
    )
    .await;
    let arrival = outcome.unwrap();
    assert_eq!(arrival.server_name.as_deref(), Some(OURS));
    assert_eq!(arrival.identity.unwrap().names, [THEIRS]);
    let flows = client.transport.flows();
    let shown = flows[0]
        .arrival
        .as_ref()
        .unwrap()
        .identity
        .as_ref()
        .unwrap();
    assert_eq!(shown.names, [OURS]);
}

#[tokio::test]
async fn a_client_certificate_may_be_meant_for_either_side_of_tls() {
    let authority = Authority::new();
    for purposes in [
        &[ServerAuth][..],
        &[ClientAuth],
        &[ServerAuth, ClientAuth],
        &[],
    ] {
        let settings = server(vec![authority.identity(OURS)], authority.roots());
        let theirs = authority.issue(&Leaf::for_purposes(THEIRS, purposes));
        let (_, _, outcome) = dial(settings, Some(theirs), authority.roots()).await;
        assert!(outcome.is_ok(), "{purposes:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn client_certificates_are_refused_for_a_reason() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let leaf = Leaf::of(THEIRS);
    let cases = [
        (
            Some(authority.issue(&Leaf::for_purposes(THEIRS, &[EmailProtection]))),
            Counter::TlsWrongUsage,
        ),
        (Some(stranger.identity(THEIRS)), Counter::TlsUnknownIssuer),
        (
            Some(authority.issue(&Leaf {
                with_intermediate: false,
                ..leaf
            })),
            Counter::TlsUnknownIssuer,
        ),
        (
            Some(authority.issue(&Leaf {
                expired: true,
                ..Leaf::of(THEIRS)
            })),
            Counter::TlsExpired,
        ),
        (
            Some(authority.identity("sip.other.example")),
            Counter::TlsWrongName,
        ),
        (
            Some(authority.identity("203.0.113.9")),
            Counter::TlsWrongName,
        ),
        (None, Counter::TlsNoCertificate),
    ];
    for (identity, reason) in cases {
        let settings = TlsServerSettings {
            client_names: vec![THEIRS.into()],
            ..server(vec![authority.identity(OURS)], authority.roots())
        };
        let (mut server, _client, outcome) = dial(settings, identity, authority.roots()).await;
        // Under TLS 1.3 the client may write before it learns; its message is reported anyway.
        assert_eq!(
            outcome.unwrap_err(),
            TransportError::Tls,
            "{}",
            reason.name()
        );
        server.counted(reason, 1).await;
        assert_eq!(server.count(Counter::MessagesIn), 0);
    }
}

#[tokio::test]
async fn names_may_stand_in_a_wildcard_or_in_the_common_name() {
    let authority = Authority::new();
    let wildcard = authority.identity("*.peer.example");
    let common = authority.issue(&Leaf {
        names: vec![],
        common_name: Some(THEIRS),
        ..Leaf::of(THEIRS)
    });
    for identity in [wildcard, common] {
        let settings = TlsServerSettings {
            client_names: vec!["sip2.peer.example".into(), THEIRS.into()],
            ..server(vec![authority.identity(OURS)], authority.roots())
        };
        let (_, _, outcome) = dial(settings, Some(identity), authority.roots()).await;
        assert!(outcome.is_ok(), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_certificate_can_be_optional() {
    let authority = Authority::new();
    for mode in [ClientAuthentication::Optional, ClientAuthentication::None] {
        let settings = TlsServerSettings {
            client_authentication: mode,
            ..server(vec![authority.identity(OURS)], authority.roots())
        };
        let (_, _, outcome) = dial(settings, None, authority.roots()).await;
        assert_eq!(outcome.unwrap().identity, None);
    }
}

#[tokio::test]
async fn a_chain_of_p384_keys_is_verified() {
    let authority = Authority::p384();
    let settings = server(vec![authority.identity(OURS)], authority.roots());
    let (_, _, outcome) = dial(
        settings,
        Some(authority.identity(THEIRS)),
        authority.roots(),
    )
    .await;
    assert!(outcome.is_ok(), "{outcome:?}");
}

#[tokio::test]
async fn a_server_must_prove_the_name_that_was_dialled() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let cases = [
        (
            authority.identity("sbc2.contoso.example"),
            Counter::TlsWrongName,
        ),
        (
            authority.identity("*.test.contoso.example"),
            Counter::TlsWrongName,
        ),
        (stranger.identity(OURS), Counter::TlsUnknownIssuer),
        (
            authority.issue(&Leaf {
                with_intermediate: false,
                ..Leaf::of(OURS)
            }),
            Counter::TlsUnknownIssuer,
        ),
        (
            authority.issue(&Leaf {
                expired: true,
                ..Leaf::of(OURS)
            }),
            Counter::TlsExpired,
        ),
        (
            authority.issue(&Leaf::for_purposes(OURS, &[ClientAuth])),
            Counter::TlsWrongUsage,
        ),
    ];
    for (identity, reason) in cases {
        let settings = server(vec![identity], authority.roots());
        let (_, client, outcome) = dial(
            settings,
            Some(authority.identity(THEIRS)),
            authority.roots(),
        )
        .await;
        assert_eq!(outcome.unwrap_err(), TransportError::Tls);
        assert_eq!(client.count(reason), 1, "{}", reason.name());
    }
}

#[tokio::test]
async fn the_certificate_follows_the_name_asked_for() {
    let authority = Authority::new();
    let identities = [OURS, "*.fabrikam.example", "sbc9.fabrikam.example"];
    let identities = identities.map(|name| authority.identity(name)).to_vec();
    let settings = TlsServerSettings {
        client_authentication: ClientAuthentication::None,
        ..server(identities, authority.roots())
    };
    let server = End::start(config(vec![tls_listener(settings)], vec![]));
    for (asked, shown) in [
        ("SBC1.contoso.example", OURS),
        ("sbc2.fabrikam.example", "*.fabrikam.example"),
        ("sbc9.fabrikam.example", "sbc9.fabrikam.example"),
        ("unknown.example", OURS),
        ("127.0.0.1", OURS),
    ] {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        // The older version too: what is shown must not depend on it.
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(seen::Any))
            .with_no_client_auth();
        let tcp = TcpStream::connect(server.address()).await.unwrap();
        let name = ServerName::try_from(asked.to_string()).unwrap();
        let stream = TlsConnector::from(Arc::new(client))
            .connect(name, tcp)
            .await
            .unwrap();
        let chain = stream.get_ref().1.peer_certificates().unwrap();
        assert_eq!(chain.len(), 2, "the whole chain is sent");
        assert_eq!(seen::names(&chain[0]), [shown], "{asked}");
    }
}

#[tokio::test]
async fn a_connection_for_one_name_is_not_used_for_another() {
    let authority = Authority::new();
    let other = "sbc2.contoso.example";
    let both = Leaf {
        names: vec![OURS, other],
        ..Leaf::of(OURS)
    };
    let settings = server(vec![authority.issue(&both)], authority.roots());
    let mut server = End::start(config(vec![tls_listener(settings)], vec![]));
    let trunk = tls_trunk(Some(authority.identity(THEIRS)), authority.roots());
    let mut client = End::start(config(vec![], vec![trunk]));
    let mut flows = Vec::new();
    for name in [OURS, other, OURS] {
        client.send(to_hop(Tls, server.address(), name), options(name));
        let (arrival, _) = server.request().await;
        assert_eq!(arrival.server_name.as_deref(), Some(name));
        flows.push(arrival.flow);
    }
    assert_ne!(flows[0], flows[1]);
    assert_eq!(flows[0], flows[2]);
}

/// Carries one connection to `server` and back; the TLS records that its client has sent.
async fn counting_relay(server: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    const HEADER: usize = 5;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let records = Arc::new(AtomicUsize::new(0));
    let counted = records.clone();
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let server = TcpStream::connect(server).await.unwrap();
        let (mut from_server, mut to_server) = server.into_split();
        tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
        let mut record = vec![0; HEADER];
        while from_client.read_exact(&mut record[..HEADER]).await.is_ok() {
            let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
            record.resize(HEADER + length, 0);
            let body = &mut record[HEADER..];
            from_client.read_exact(body).await.unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
            to_server.write_all(&record).await.unwrap();
        }
    });
    (address, records)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_queued_goes_with_the_next_flush_in_one_record() {
    let authority = Authority::new();
    let settings = server(vec![authority.identity(OURS)], authority.roots());
    let mut server = End::start(config(vec![tls_listener(settings)], vec![]));
    let (relay, records) = counting_relay(server.address()).await;
    let trunk = tls_trunk(Some(authority.identity(THEIRS)), authority.roots());
    let mut client = End::start(config(vec![], vec![trunk]));
    let to = to_hop(Tls, relay, OURS);
    client.send(to.clone(), options("first"));
    server.request().await;
    let before = records.load(Ordering::Relaxed);

    let calls = ["one", "two", "three"];
    for call in calls {
        client.queue(to.clone(), options(call));
    }
    client.transport.flush();
    for call in calls {
        assert_eq!(call_id(&server.message().await.1), call);
    }
    assert_eq!(records.load(Ordering::Relaxed) - before, 1);
}

#[tokio::test]
async fn what_is_no_tls_is_refused_and_others_go_on() {
    let authority = Authority::new();
    let settings = server(vec![authority.identity(OURS)], authority.roots());
    let mut server = End::start(config(vec![tls_listener(settings)], vec![]));
    for garbage in [
        options("plain").as_bytes(),
        &[0xff; 64],
        b"\x16\x03\x01\xff\xff",
    ] {
        let mut tcp = TcpStream::connect(server.address()).await.unwrap();
        tcp.write_all(garbage).await.unwrap();
        tcp.shutdown().await.unwrap();
        let mut rest = Vec::new();
        let _ = tcp.read_to_end(&mut rest).await;
    }
    server.counted(Counter::TlsNotTls, 2).await;
    let trunk = tls_trunk(Some(authority.identity(THEIRS)), authority.roots());
    let mut client = End::start(config(vec![], vec![trunk]));
    client.send(to_hop(Tls, server.address(), OURS), options("honest"));
    assert_eq!(call_id(&server.message().await.1), "honest");
    assert_eq!(server.count(Counter::MessagesIn), 1);
}

#[tokio::test]
async fn new_identities_renew_connections_of_both_directions() {
    let authority = Authority::new();
    let settings = || server(vec![authority.identity(OURS)], authority.roots());
    let mut server = End::start(config(vec![tls_listener(settings())], vec![]));
    let trunk = tls_trunk(Some(authority.identity(THEIRS)), authority.roots());
    let mut client = End::start(config(vec![], vec![trunk.clone()]));
    client.send(to_hop(Tls, server.address(), OURS), options("before"));
    let (before, asked) = server.request().await;

    let listeners = vec![(LISTENER, settings())];
    server
        .transport
        .set_identities(Identities {
            listeners,
            trunks: vec![],
        })
        .unwrap();
    assert!(server.transport.flows()[0].retiring);

    let renewed = TlsClientSettings {
        identity: Some(authority.identity(THEIRS)),
        roots: authority.roots(),
    };
    let trunks = vec![(trunk.name, renewed)];
    client
        .transport
        .set_identities(Identities {
            listeners: vec![],
            trunks,
        })
        .unwrap();
    let opened = server.opened().await;
    assert_ne!(opened.flow, before.flow);
    assert_ne!(
        opened.identity.unwrap().fingerprint_sha256,
        before.identity.as_ref().unwrap().fingerprint_sha256
    );
    // The old connection still carries the answer to what it brought.
    server.send(back(&before), ok(&asked));
    assert_eq!(call_id(&client.message().await.1), "before");
    client.counted(Counter::ConnectionsOpened, 2).await;
    client.send(to_hop(Tls, server.address(), OURS), options("after"));
    assert_eq!(server.request().await.0.flow, opened.flow);
    // With its answer gone, nothing keeps the old connection (C-19).
    assert_eq!(server.closed().await.0, before.flow);
}

#[tokio::test]
async fn an_accepted_connection_without_open_requests_goes_at_once() {
    let authority = Authority::new();
    let settings = || server(vec![authority.identity(OURS)], authority.roots());
    let mut server = End::start(config(vec![tls_listener(settings())], vec![]));
    let trunk = tls_trunk(Some(authority.identity(THEIRS)), authority.roots());
    let mut client = End::start(config(vec![], vec![trunk]));
    let to = to_hop(Tls, server.address(), OURS);
    client.send(to.clone(), options("first"));
    let (before, asked) = server.request().await;
    server.send(back(&before), ok(&asked));
    server
        .transport
        .set_identities(Identities {
            listeners: vec![(LISTENER, settings())],
            trunks: vec![],
        })
        .unwrap();
    assert_eq!(server.closed().await.0, before.flow);
    client.closed().await;
    client.send(to, options("next"));
    assert_ne!(server.request().await.0.flow, before.flow);
}

#[tokio::test]
async fn only_the_versions_and_suites_of_the_policy_are_spoken() {
    use sip_transport::{TlsPolicy, TlsVersion};
    let authority = Authority::new();
    let end = |versions: &[TlsVersion], suites: &[&str], serves: bool| {
        let settings = server(vec![authority.identity(OURS)], authority.roots());
        let trunk = tls_trunk(Some(authority.identity(THEIRS)), authority.roots());
        let mut config = match serves {
            true => config(vec![tls_listener(settings)], vec![]),
            false => config(vec![], vec![trunk]),
        };
        config.tls = TlsPolicy {
            versions: versions.to_vec(),
            suites: suites.iter().map(|suite| (*suite).to_owned()).collect(),
        };
        End::start(config)
    };
    let (old, new) = (&[TlsVersion::Tls12][..], &[TlsVersion::Tls13][..]);
    let gcm = &[
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    ][..];
    let other = &[
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    ][..];
    for (client_speaks, suites, agrees) in [
        (old, gcm, true),
        (old, other, false),
        (new, &["TLS_AES_128_GCM_SHA256"][..], false),
    ] {
        let mut server = end(old, gcm, true);
        let mut client = end(client_speaks, suites, false);
        let id = client.send(to_hop(Tls, server.address(), OURS), options("x"));
        if agrees {
            assert_eq!(call_id(&server.message().await.1), "x");
        } else {
            assert_eq!(
                client.failure().await,
                (id, TransportError::Tls),
                "{suites:?}"
            );
        }
    }
}

/// Looks at certificates without judging them.
mod seen {
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{DigitallySignedStruct, Error, SignatureScheme};
    use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

    pub(super) fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
        let (_, parsed) = X509Certificate::from_der(certificate).unwrap();
        let names = parsed.subject_alternative_name().unwrap().unwrap().value;
        let names = names.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_string()),
            _ => None,
        });
        names.collect()
    }

    #[derive(Debug)]
    pub(super) struct Any;

    impl ServerCertVerifier for Any {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            rustls::crypto::aws_lc_rs::default_provider()
                .signature_verification_algorithms
                .supported_schemes()
        }
    }
}
