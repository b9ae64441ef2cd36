//! Microsoft's side, its REST interface, a gateway, and an application's webhook.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use acs_client::call_automation::{
    AddParticipant, AnswerCall, CallConnection, CallEvent, Happened, Identifier, IncomingCall,
    Invitation, Notification, PhoneNumber, call_events, grid_events,
};
use acs_client::{Client, ConnectionString, Error, Settings};
use acs_sim::acs::PROXY_NAMES;
use acs_sim::rest::calls::{CallAutomation, CallsConfig, Subscription};
use acs_sim::rest::{Owned, RestConfig, RestSim};
use acs_sim::{
    AcsConfig, AcsSim, CallHandle, CallOptions, Identity, Party, PartyConfig, TlsSettings,
    Transport, connected_within,
};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{options, post};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::sync::mpsc;

pub(crate) const LIMIT: Duration = Duration::from_secs(10);
pub(crate) const FQDN: &str = "sbc1.contoso.example";
/// The number the gateway calls at Microsoft.
pub(crate) const MARKER: &str = "+14255550199";
pub(crate) const CALLER: &str = "+14255550100";
/// A number the resource owns.
pub(crate) const OWNED: &str = "+18335550100";
/// Somebody on the telephone network.
pub(crate) const FAR: &str = "+14255550123";

/// What came to the webhook.
#[derive(Debug)]
pub(crate) enum Came {
    Incoming(Box<IncomingCall>),
    Call(Box<CallEvent>),
}

/// What the webhook answers with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// The code is given back.
    #[default]
    Code,
    /// The link is read.
    Link,
    /// Nothing is done about it.
    Silent,
}

#[derive(Clone)]
struct Hook {
    came: mpsc::UnboundedSender<Came>,
    handshake: Handshake,
    /// Answers to the next notifications instead of 200.
    statuses: Arc<Mutex<Vec<u16>>>,
}

pub(crate) struct Stage {
    pub(crate) side: AcsSim,
    pub(crate) rest: RestSim,
    pub(crate) gateway: Party,
    pub(crate) client: Client,
    pub(crate) statuses: Arc<Mutex<Vec<u16>>>,
    pub(crate) hook: SocketAddr,
    came: mpsc::UnboundedReceiver<Came>,
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a root"))
    }

    fn settings(&self, names: &[&str]) -> TlsSettings {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).expect("names");
        let key = KeyPair::generate().expect("a key");
        let leaf = params.signed_by(&key, &self.0).expect("a leaf");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let chain = vec![leaf.der().clone()];
        TlsSettings::new(Identity { chain, key }, vec![self.0.der().clone()])
    }
}

async fn webhook(handshake: Handshake) -> (SocketAddr, Hook, mpsc::UnboundedReceiver<Came>) {
    let (sender, came) = mpsc::unbounded_channel();
    let hook = Hook {
        came: sender,
        handshake,
        statuses: Arc::default(),
    };
    let routes = Router::new()
        .route("/grid", post(grid))
        .route("/grid", options(allowed))
        .route("/calls", post(call))
        .with_state(hook.clone());
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a socket");
    let address = socket.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(socket, routes).await });
    (address, hook, came)
}

async fn allowed(headers: HeaderMap) -> impl IntoResponse {
    let origin = headers.get("webhook-request-origin").cloned();
    [("webhook-allowed-origin", origin.expect("who asks"))]
}

async fn grid(State(hook): State<Hook>, body: Bytes) -> (StatusCode, String) {
    let status = hook.statuses.lock().expect("no panic").pop();
    if let Some(status) = status {
        return (
            StatusCode::from_u16(status).expect("a status"),
            String::new(),
        );
    }
    let mut said = String::new();
    for event in grid_events(&body).expect("events of Event Grid") {
        match event.notification {
            Notification::Validation { code, url } => match hook.handshake {
                Handshake::Code => said = format!("{{\"validationResponse\":\"{code}\"}}"),
                Handshake::Link => {
                    let url = url.expect("a link");
                    tokio::spawn(async move { reqwest::get(url).await.expect("it is read") });
                }
                Handshake::Silent => {}
            },
            Notification::IncomingCall(call) => {
                hook.came.send(Came::Incoming(call)).expect("heard")
            }
            Notification::Other(kind) => panic!("{kind}"),
        }
    }
    (StatusCode::OK, said)
}

async fn call(State(hook): State<Hook>, body: Bytes) -> StatusCode {
    for event in call_events(&body).expect("events of a call") {
        hook.came.send(Came::Call(Box::new(event))).expect("heard");
    }
    StatusCode::OK
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let stage = Self::with(CallsConfig::default(), Handshake::Code).await;
        stage.subscribe(false).await.expect("a subscription");
        stage
    }

    /// Everything, and nobody subscribed.
    pub(crate) async fn with(calls: CallsConfig, handshake: Handshake) -> Self {
        let authority = Authority::new();
        let loopback = [127, 0, 0, 1].into();
        let mut config = PartyConfig::new("Gateway", Transport::Tls, (loopback, 9).into());
        config.tls = Some(authority.settings(&[FQDN]));
        config.host = Some(FQDN.to_owned());
        config.peer_name = Some(PROXY_NAMES[0].to_owned());
        config.host_map = PROXY_NAMES.map(|name| (name.to_owned(), loopback)).into();
        config.headers = vec![("X-MS-SBC".to_owned(), "Simulated/Gateway/1.0".to_owned())];
        config.one_way = true;
        config.media.secure = true;
        let gateway = Party::start(config).await.expect("a gateway");
        let config = AcsConfig::new(authority.settings(&PROXY_NAMES));
        let config = config.with_trunk(FQDN, gateway.local_addr());
        let side = AcsSim::start(config).await.expect("Microsoft's side");
        gateway.set_peer(side.proxies()[0].1);
        let config = RestConfig {
            calls: CallsConfig {
                plain_callbacks: true,
                pace: 0.01,
                ..calls
            },
            ..RestConfig::new(b"a key for tests".as_slice())
        };
        let rest = RestSim::start(config).await.expect("a socket");
        rest.own(Owned::toll_free(OWNED));
        rest.calls().attach(&side);
        let (address, hook, came) = webhook(handshake).await;
        let connection = ConnectionString::parse(&rest.connection_string("127.0.0.1"));
        let settings = Settings {
            timeout: Duration::from_secs(1),
            backoff: Duration::from_millis(5),
            ..Settings::default()
        };
        let client = Client::new(connection.expect("a connection string"), settings);
        Self {
            side,
            rest,
            gateway,
            client: client.expect("a client"),
            statuses: hook.statuses,
            hook: address,
            came,
        }
    }

    pub(crate) fn calls(&self) -> &CallAutomation {
        self.rest.calls()
    }

    pub(crate) async fn subscribe(&self, cloud: bool) -> Result<(), String> {
        let subscription = Subscription::new(format!("http://{}/grid", self.hook));
        let subscription = if cloud {
            subscription.cloud_events()
        } else {
            subscription
        };
        self.calls().subscribe(subscription).await
    }

    pub(crate) fn callback(&self) -> String {
        format!("http://{}/calls", self.hook)
    }

    /// The gateway calls the marker; gives its end.
    pub(crate) async fn dial(&self) -> CallHandle {
        let options = CallOptions {
            request_uri: Some(format!(
                "sip:{MARKER}@{};user=phone;transport=tls",
                PROXY_NAMES[0]
            )),
            headers: vec![
                ("X-MS-Custom-Nonce".to_owned(), "n-1".to_owned()),
                ("User-To-User".to_owned(), "75;encoding=hex".to_owned()),
            ],
            ..CallOptions::from(CALLER)
        };
        self.gateway
            .call(MARKER, options)
            .await
            .expect("media ports")
    }

    pub(crate) async fn next(&mut self) -> Came {
        let came = tokio::time::timeout(LIMIT, self.came.recv()).await;
        came.expect("in time").expect("the webhook lives")
    }

    pub(crate) async fn incoming(&mut self) -> IncomingCall {
        match self.next().await {
            Came::Incoming(call) => *call,
            other @ Came::Call(_) => panic!("{other:?}"),
        }
    }

    pub(crate) async fn event(&mut self) -> CallEvent {
        match self.next().await {
            Came::Call(event) => *event,
            other @ Came::Incoming(_) => panic!("{other:?}"),
        }
    }

    /// The next event that is not about who takes part.
    pub(crate) async fn happened(&mut self) -> CallEvent {
        loop {
            let event = self.event().await;
            if !matches!(event.happened, Happened::ParticipantsUpdated { .. }) {
                return event;
            }
        }
    }

    pub(crate) async fn answer(&mut self) -> Result<CallConnection, Error> {
        let incoming = self.incoming().await;
        let answer = AnswerCall {
            incoming_call_context: incoming.incoming_call_context,
            callback_uri: self.callback(),
            operation_context: Some("answer".to_owned()),
        };
        self.client.answer_call(&answer).await
    }

    /// A call that is answered and connected: the gateway's end, Microsoft's end, its id.
    pub(crate) async fn connected(&mut self) -> (CallHandle, CallHandle, String) {
        let expected = self.side.expect(MARKER);
        let near = self.dial().await;
        let call = self.answer().await.expect("answered");
        connected_within(&near, LIMIT).await.expect("200 and ACK");
        let event = self.event().await;
        assert_eq!(event.happened, Happened::CallConnected);
        let updated = self.event().await;
        assert!(matches!(
            updated.happened,
            Happened::ParticipantsUpdated { .. }
        ));
        (
            near,
            expected.await.expect("it came"),
            call.call_connection_id,
        )
    }

    pub(crate) async fn add(
        &self,
        call: &str,
        number: &str,
        from: &str,
    ) -> Result<Invitation, Error> {
        let add = AddParticipant {
            source_caller_id_number: Some(PhoneNumber::new(from)),
            invitation_timeout_in_seconds: Some(1),
            operation_context: Some("add".to_owned()),
            ..AddParticipant::new(Identifier::phone(number))
        };
        self.client.add_call_participant(call, &add).await
    }
}
