//! Calls that Microsoft carries: between the core, which makes them, and Azure.
//!
//! [`desk`] decides, [`door`] lets Azure's posts in, [`bearer`] knows whose they are; here the three
//! meet a clock, a runtime and Azure's REST interface.

pub mod bearer;
pub mod desk;
pub mod door;

use std::sync::Arc;
use std::time::Duration;

use acs_client::call_automation::{AddParticipant, AnswerCall, Identifier, PhoneNumber};
use acs_client::{Client, Settings};
use anyhow::{Context as _, Result};
use arc_swap::ArcSwap;
use b2bua::cloud::{CloudEvent, CloudRequest};
use media_relay::LegId;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::sign::SingleCertAndKey;
use sip_msg::StatusCode;
use sip_transport::Identity;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use super::clock::Clock;
use super::wiring::Keys;
use crate::config::resolve::Cloud;
use bearer::Bearer;
use desk::{Action, Answer, Ask, Desk};
use door::{Counts, Door, Post};

/// Posts that wait for the desk.
const POSTS: usize = 256;
/// What happened at Azure and waits for the core.
const EVENTS: usize = 4_096;
/// How often a call is hung up at most, and the first pause between two times.
const HANG_UPS: u32 = 6;
const HANG_UP_PAUSE: Duration = Duration::from_secs(1);
/// How long hang-ups have on the way out.
const FAREWELL: Duration = Duration::from_secs(8);

/// The running part.
#[derive(Debug)]
pub struct Running {
    /// What the core wants done. Bounded by the core's legs, each of which asks twice.
    pub requests: mpsc::UnboundedSender<CloudRequest>,
    /// What happened, for the core.
    pub events: mpsc::Receiver<(LegId, CloudEvent)>,
    /// What the listener shows; a renewed certificate is put here.
    pub tls: Arc<ArcSwap<ServerConfig>>,
    /// What became of posts.
    pub counts: Arc<Counts>,
    /// Told once, when what Azure says could be believed.
    pub ready: oneshot::Receiver<()>,
    /// Ends once nothing is left at Azure, after `requests` was dropped.
    pub ended: JoinHandle<()>,
}

/// Starts it.
///
/// # Errors
/// The listener cannot be bound; a file cannot be read.
pub async fn start(cloud: &Cloud, keys: &Keys, clock: Clock) -> Result<Running> {
    let roots = match &cloud.roots {
        Some(path) => Some(std::fs::read(path).with_context(|| path.display().to_string())?),
        None => None,
    };
    let http = http(roots.as_deref())?;
    let settings = Settings {
        tries: 3,
        timeout: Duration::from_secs(5),
        backoff: Duration::from_millis(400),
        longest_wait: Duration::from_secs(3),
        roots,
        ..Settings::default()
    };
    let client = Client::new(cloud.connection.connection().clone(), settings)?;
    let identity = keys.identities.get(cloud.certificate);
    let tls = tls(identity.context("the certificate of [cloud_calling]")?)?;
    let tls = Arc::new(ArcSwap::new(tls));
    let listener = door::bind(cloud.listen)
        .await
        .with_context(|| format!("[cloud_calling] listen = {}", cloud.listen))?;
    let bearer = Arc::new(Bearer::new(cloud, http.clone()));
    let counts = Arc::new(Counts::default());
    let (requests, wanted) = mpsc::unbounded_channel();
    let (happened, events) = mpsc::channel(EVENTS);
    let (desk, posts) = mpsc::channel(POSTS);
    let keeper = Arc::clone(&bearer);
    let (known, ready) = oneshot::channel();
    tokio::spawn(async move { keeper.keep(known).await });
    let door = Door {
        secret: Arc::new(cloud.secret.clone()),
        bearer: Arc::clone(&bearer),
        desk,
        counts: Arc::clone(&counts),
        http,
    };
    tokio::spawn(door::serve(listener, Arc::clone(&tls), door));
    let (done, answers) = mpsc::unbounded_channel();
    let clerk = Clerk {
        desk: Desk::default(),
        clock,
        client,
        bearer,
        public_url: cloud.public_url.clone(),
        happened,
        done,
        hang_ups: JoinSet::new(),
    };
    let ended = tokio::spawn(clerk.run(wanted, posts, answers));
    tracing::info!(listen = %cloud.listen, "calls through Azure Cloud Calling");
    Ok(Running {
        requests,
        events,
        tls,
        counts,
        ready,
        ended,
    })
}

fn http(roots: Option<&[u8]>) -> Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    if let Some(pem) = roots {
        builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(pem)?);
    }
    Ok(builder.build()?)
}

/// TLS with this certificate.
///
/// # Errors
/// The library knows no version of TLS.
pub fn tls(identity: &Identity) -> Result<Arc<ServerConfig>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified())));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The desk with everything around it.
struct Clerk {
    desk: Desk,
    clock: Clock,
    client: Client,
    bearer: Arc<Bearer>,
    public_url: String,
    happened: mpsc::Sender<(LegId, CloudEvent)>,
    done: mpsc::UnboundedSender<(LegId, Answer)>,
    hang_ups: JoinSet<()>,
}

impl Clerk {
    async fn run(
        mut self,
        mut wanted: mpsc::UnboundedReceiver<CloudRequest>,
        mut posts: mpsc::Receiver<Post>,
        mut answers: mpsc::UnboundedReceiver<(LegId, Answer)>,
    ) {
        loop {
            let due = self.desk.deadline();
            let due = due.map(|at| tokio::time::Instant::from_std(self.clock.instant(at)));
            let wake = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                request = wanted.recv() => match request {
                    Some(request) => self.handle_request(request),
                    None => break,
                },
                Some((leg, answer)) = answers.recv() => self.desk.handle_answer(leg, answer),
                Some(post) = posts.recv() => self.handle_post(post),
                () = wake => self.desk.handle_timeout(self.clock.now().moment),
                Some(_) = self.hang_ups.join_next(), if !self.hang_ups.is_empty() => {}
            }
            self.act().await;
        }
        self.leave(&mut answers).await;
    }

    fn handle_request(&mut self, request: CloudRequest) {
        if let CloudRequest::Expect(expectation) = &request
            && !self.bearer.is_ready()
        {
            // What Azure would say of the call could not be believed.
            let event = CloudEvent::Failed {
                status: StatusCode::SERVICE_UNAVAILABLE,
                reason: "the keys that Azure signs with are not known yet".into(),
            };
            let told = self.happened.try_send((expectation.leg, event));
            if told.is_err() {
                tracing::error!("the core does not hear of calls through Azure");
            }
            return;
        }
        self.desk.handle_request(self.clock.now().moment, request);
    }

    fn handle_post(&mut self, post: Post) {
        let now = self.clock.now().moment;
        // Whoever posted may have gone away.
        match post {
            Post::Incoming(call, answer) => {
                let taken = match random() {
                    Some(token) => self.desk.handle_incoming(now, &call, token),
                    None => Err(desk::Refused::Nonce),
                };
                if let Err(why) = &taken {
                    tracing::info!(%why, "a call that came in at Azure is not taken");
                }
                let _ = answer.send(taken);
            }
            Post::Events(token, events, answer) => {
                let mut events = events.iter();
                let taken = events.try_for_each(|event| self.desk.handle_event(now, &token, event));
                let _ = answer.send(taken);
            }
        }
    }

    async fn act(&mut self) {
        for action in self.desk.actions() {
            match action {
                Action::Tell(leg, event) => {
                    if let CloudEvent::Failed { reason, .. } = &event {
                        tracing::warn!(leg = leg.0, "cloud-calling: {reason}");
                    }
                    // Without a core there is nobody to tell.
                    let _ = self.happened.send((leg, event)).await;
                }
                Action::Ask(_, Ask::HangUp { connection }) => {
                    let client = self.client.clone();
                    self.hang_ups.spawn(hang_up(client, connection));
                }
                Action::Ask(leg, ask) => {
                    let (client, done) = (self.client.clone(), self.done.clone());
                    let public_url = self.public_url.clone();
                    tokio::spawn(async move {
                        if let Some(answer) = asked(&client, &public_url, ask).await {
                            // Without a desk the answer is nobody's.
                            let _ = done.send((leg, answer));
                        }
                    });
                }
            }
        }
    }

    /// The core has ended: what is still up at Azure is hung up, as far as there is time.
    async fn leave(mut self, answers: &mut mpsc::UnboundedReceiver<(LegId, Answer)>) {
        self.desk.close();
        let work = async {
            self.act().await;
            while self.desk.awaits() {
                let Some((leg, answer)) = answers.recv().await else {
                    break;
                };
                self.desk.handle_answer(leg, answer);
                self.act().await;
            }
            while self.hang_ups.join_next().await.is_some() {}
        };
        if tokio::time::timeout(FAREWELL, work).await.is_err() {
            tracing::error!("calls may go on at Azure: it did not answer in time");
        }
    }
}

async fn asked(client: &Client, public_url: &str, ask: Ask) -> Option<Answer> {
    match ask {
        Ask::Answer { context, token } => {
            let call = AnswerCall {
                incoming_call_context: context,
                callback_uri: format!("{public_url}/calls/{token}"),
                operation_context: None,
            };
            Some(Answer::Answered(client.answer_call(&call).await))
        }
        Ask::Dial {
            connection,
            to,
            caller_id,
            ring_timeout,
        } => {
            let seconds = u8::try_from(ring_timeout.as_secs()).unwrap_or(180).min(180);
            let add = AddParticipant {
                source_caller_id_number: Some(PhoneNumber::new(caller_id.to_wire())),
                invitation_timeout_in_seconds: Some(seconds),
                ..AddParticipant::new(Identifier::phone(to.to_wire()))
            };
            let dialled = client.add_call_participant(&connection, &add).await;
            Some(Answer::Dialled(dialled))
        }
        Ask::HangUp { .. } => None,
    }
}

/// Ends a call for everybody, again and again: whatever is left of it is paid for.
async fn hang_up(client: Client, connection: String) {
    let mut pause = HANG_UP_PAUSE;
    for tries in 1..=HANG_UPS {
        let ended = match client.terminate_call(&connection).await {
            Ok(()) => Ok(()),
            Err(_) => client.hang_up_call(&connection).await,
        };
        match ended {
            Ok(()) => return,
            Err(error) => tracing::warn!(connection, tries, %error, "hanging up at Azure"),
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    tracing::error!(connection, "the call may go on at Azure");
}

/// 128 bits that nobody can guess, as hexadecimal digits.
fn random() -> Option<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(super::record_json::hex(&bytes))
}
