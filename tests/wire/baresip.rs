//! baresip as a telephone on Microsoft's side, and as a carrier with TLS and SRTP: audio of nobody
//! here.

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use trunkline_tests::audio::{self, Tone};
use trunkline_tests::certificates::Authority;
use trunkline_tests::daemon;
use trunkline_tests::gateway::{self, FQDN, MICROSOFT};
use trunkline_tests::lab::Lab;
use trunkline_tests::process::Process;
use trunkline_tests::telephone::{Dialog, Telephone};

const PATIENCE: Duration = Duration::from_secs(15);
/// The number baresip answers to.
const THERE: &str = "+14255550123";
/// The number of the carrier's telephone.
const HERE: &str = "+14255550199";
/// What baresip plays, hertz.
const ITS_TONE: u32 = 1000;
/// What the carrier's telephone plays, hertz.
const OUR_TONE: u32 = 400;
/// Packets of a conversation, 20 ms each.
const PACKETS: usize = 200;

/// What a carrier is called that has TLS and SRTP.
const CARRIER: &str = "sip.secure-carrier.example";

/// baresip with one account, in the place of whoever is called `name`.
fn baresip(lab: &Lab, name: &str) -> Process {
    let at = lab.host(3);
    let file = |name: &str| lab.path(name).display().to_string();
    lab.write(
        "config",
        &format!(
            "sip_listen {at}:5060\nsip_certificate {identity}\nsip_cafile {roots}\n\
             audio_source aufile,{tone}\naudio_player aubridge,ear\n\
             audio_alert aubridge,bell\nsnd_path {heard}\nausrc_srate 8000\nauplay_srate 8000\n\
             ausrc_channels 1\nauplay_channels 1\naudio_buffer 20-160\n\
             rtp_ports 30000-30100\nrtcp_mux yes\ncons_listen {at}:5555\nnet_interface {at}\n\
             module_path /usr/lib/baresip/modules\n\
             module g711.so\nmodule cons.so\nmodule aufile.so\nmodule aubridge.so\n\
             module sndfile.so\nmodule srtp.so\n\
             module_tmp account.so\nmodule_app menu.so\n",
            identity = file("far.pem"),
            roots = file("roots.pem"),
            tone = file("tone.wav"),
            heard = lab.folder().display(),
        ),
    );
    lab.write(
        "accounts",
        &format!(
            "<sip:{THERE}@{name};transport=tls>;regint=0;answermode=auto;\
             mediaenc=srtp-mand;audio_codecs=PCMU/8000/1;\
             outbound=\"sip:{};transport=tls\"\n",
            gateway::tls(lab)
        ),
    );
    lab.write("contacts", "");
    std::fs::write(lab.path("tone.wav"), audio::wave(ITS_TONE, 30)).expect("the folder is ours");
    let mut command = Command::new("baresip");
    command
        .arg("-f")
        .arg(lab.folder())
        .args(["-p", "/nowhere", "-s", "-v"]);
    let mut baresip = Process::start("baresip", &mut command).ending_gently();
    baresip.wait_for("baresip is ready", PATIENCE);
    baresip
}

/// Gateway, carrier and a socket for the carrier's sound.
struct Stage {
    lab: Lab,
    gateway: Process,
    baresip: Process,
    telephone: Telephone,
    sound: UdpSocket,
}

impl Stage {
    /// baresip is Microsoft.
    fn start() -> Self {
        let stage = Self::with(MICROSOFT, gateway::configuration);
        gateway::wait_online(&stage.lab);
        stage
    }

    /// baresip is a carrier.
    fn with_carrier() -> Self {
        Self::with(CARRIER, |lab| {
            let preset = "preset = \"carrier\"\nsrtp = true\noptions = { interval = \"0s\" }";
            gateway::configuration(lab)
                .replace("preset = \"acs\"", preset)
                .replace(MICROSOFT, CARRIER)
        })
    }

    fn with(name: &str, configuration: impl Fn(&Lab) -> String) -> Self {
        let (lab, authority) = (Lab::new(), Authority::new());
        let address = lab.host(1).to_string();
        // baresip dials addresses, as it asks no file for names.
        authority.good(&[FQDN, &address]).write(&lab, "sbc1");
        let mut far = authority.good(&[name]);
        far.chain += &far.key;
        far.write(&lab, "far");
        lab.write("roots.pem", &authority.root());
        // The gateway's OPTIONS must find someone there.
        let baresip = baresip(&lab, name);
        let gateway = daemon::start(&lab, &configuration(&lab));
        let telephone = Telephone::start(&lab);
        let sound = UdpSocket::bind((lab.host(2), 40_000)).expect("the port is free");
        sound
            .set_read_timeout(Some(PATIENCE))
            .expect("a timeout can be set");
        Self {
            lab,
            gateway,
            baresip,
            telephone,
            sound,
        }
    }

    fn media(&self) -> SocketAddr {
        self.sound.local_addr().expect("the socket is bound")
    }

    /// Hears four seconds of baresip's tone while playing ours, hangs up, and reads the record.
    fn talk_and_hang_up(mut self, dialog: &Dialog) {
        let heard = audio::converse(&self.sound, OUR_TONE, PACKETS);
        // The first packets may hold the silence before the source has started.
        let tone = Tone::of(&heard[8000..], ITS_TONE);
        assert!(tone.share > 0.9, "{tone:?}");
        self.telephone.hang_up(dialog);
        drop(self.baresip);
        self.gateway.signal("TERM");
        assert!(self.gateway.wait(PATIENCE).success());
        let records = std::fs::read_to_string(self.lab.path("records.jsonl")).expect("written");
        let record: Value = serde_json::from_str(records.trim()).expect("one call, one record");
        for leg in ["media_a", "media_b"] {
            let media = &record[leg];
            let count = |name: &str| media[name].as_u64().expect("a number");
            assert!(count("received") > 150, "{leg}: {record}");
            assert!(count("sent") > 150, "{leg}: {record}");
            assert_eq!(count("lost"), 0, "{leg}: {record}");
            // It may speak before its answer with the keys is here, and it opens the way with an
            // RTCP APP alone, first in clear and then under SRTCP, which is no compound packet.
            let known = ["before_key", "malformed", "malformed_rtcp"];
            for (reason, count) in media["dropped"].as_object().expect("reasons") {
                assert!(known.contains(&reason.as_str()), "{leg}: {record}");
                assert!(count.as_u64() < Some(20), "{leg}: {record}");
            }
        }
        let wave = std::fs::read_dir(self.lab.folder())
            .expect("the folder is ours")
            .map(|entry| entry.expect("readable").path())
            .find(|path| path.to_string_lossy().ends_with("dec.wav"))
            .expect("baresip writes down what it hears");
        let wave = std::fs::read(wave).expect("readable");
        let samples = audio::wave_samples(&wave);
        let middle = &samples[samples.len() / 4..samples.len() * 3 / 4];
        assert!(middle.len() > 8000, "{} samples", samples.len());
        let tone = Tone::of(middle, OUR_TONE);
        assert!(tone.share > 0.9, "{tone:?}");
    }
}

#[test]
fn a_call_to_baresip_carries_sound_both_ways() {
    called(Stage::start());
}

#[test]
fn a_call_to_a_carrier_with_tls_and_srtp_carries_sound_both_ways() {
    called(Stage::with_carrier());
}

fn called(mut stage: Stage) {
    stage.telephone.call(HERE, THERE, stage.media());
    let ok = stage.telephone.response("INVITE", 200);
    let dialog = stage.telephone.acknowledge(&ok);
    stage.talk_and_hang_up(&dialog);
}

#[test]
fn a_call_from_baresip_carries_sound_both_ways() {
    calling(Stage::start());
}

#[test]
fn a_call_from_a_carrier_with_tls_and_srtp_carries_sound_both_ways() {
    calling(Stage::with_carrier());
}

fn calling(mut stage: Stage) {
    let dial = format!("/dial sip:{HERE}@{FQDN}:5061;transport=tls\n");
    UdpSocket::bind((stage.lab.host(2), 0))
        .expect("a port is free")
        .send_to(dial.as_bytes(), (stage.lab.host(3), 5555))
        .expect("loopback takes datagrams");
    let invite = stage.telephone.request("INVITE");
    stage.telephone.ring(&invite);
    let dialog = stage.telephone.pick_up(&invite, stage.media());
    stage.telephone.request("ACK");
    stage.baresip.wait_for("Call established", PATIENCE);
    stage.talk_and_hang_up(&dialog);
}
