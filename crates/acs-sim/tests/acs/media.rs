//! Media out of the ordinary.

use acs_sim::{CallOptions, Codec, MediaConfig, SdpEdit, Sound, exchange};

use crate::stage::{APP, LIMIT, PHONE, Stage, polite, stage};

#[tokio::test]
async fn sounds_are_told_apart_from_silence_and_from_coded_audio() {
    let stage = Stage::good().await;
    let (near, far) = stage.inbound().await;
    far.play(Sound::Silence, 5).await;
    far.play(Sound::Tone(425), 5).await;
    far.play(Sound::Key('5'), 5).await;
    far.play(Sound::ComfortNoise, 2).await;
    near.media_until(LIMIT, |counts| counts.comfort_noise == 2)
        .await;
    let heard = near.media();
    assert_eq!((heard.silence, heard.sound), (5, 10));
    assert_eq!(heard.keys, "5");
    assert_eq!((heard.foreign, heard.wrong_type), (15, 0));
}

#[tokio::test]
async fn a_new_key_and_a_new_source_begin_at_packet_zero_and_forgeries_are_not_heard() {
    let stage = stage(
        |config| config,
        |config| config.media.first_sequence = Some(65_530),
    )
    .await;
    let (near, far) = stage.inbound().await;
    assert!(exchange(&near, &far, 20).await.exact(20));
    near.rekey().await.unwrap();
    assert!(exchange(&near, &far, 20).await.exact(40));
    far.rekey().await.unwrap();
    far.change_source();
    assert!(exchange(&near, &far, 20).await.exact(60));
    assert_eq!(near.media().ssrcs.len(), 2);
    near.forge(3).await.unwrap();
    far.media_until(LIMIT, |counts| counts.undecryptable == 3)
        .await;
    assert_eq!(far.media().undecryptable, 3);
    let audio = exchange(&near, &far, 5).await;
    assert!(audio.exact(65), "{audio:?}");
}

#[tokio::test]
async fn descriptions_are_edited_on_their_way_out() {
    let stage = Stage::good().await;
    let line = "a=candidate:1 1 UDP 2130706431 192.0.2.1 4000 typ host";
    let media = MediaConfig {
        secure: true,
        sdp: SdpEdit::adding(&[line]),
        codecs: vec![Codec::G722, Codec::Pcma],
        ..MediaConfig::default()
    };
    let options = CallOptions {
        media: Some(media),
        from_uri: Some("sip:sip.pstnhub.microsoft.com".to_owned()),
        ..CallOptions::from(APP)
    };
    let expected = stage.sbc.expect(PHONE);
    let near = stage
        .acs
        .call(PHONE, crate::stage::FQDN, options)
        .await
        .unwrap();
    near.connected().await.unwrap();
    let far = expected.await.unwrap();
    assert_eq!(far.parties().caller, "");
    let invite = stage.response("INVITE ");
    assert!(invite.contains(line), "{invite}");
    assert!(
        invite.contains(" RTP/SAVP 104 103 9 8 101 13\r\n"),
        "{invite}"
    );
}

#[tokio::test]
async fn bridged_calls_hear_each_other() {
    let stage = Stage::good().await;
    let (near, far) = stage.inbound().await;
    let (other, other_far) = {
        let number = "+14255550101";
        let expected = stage.acs.expect(number);
        let near = stage.sbc.call(number, polite(number)).await.unwrap();
        near.connected().await.unwrap();
        (near, expected.await.unwrap())
    };
    far.bridge(&other_far);
    let audio = exchange(&near, &other, 20).await;
    assert!(audio.exact(20), "{audio:?}");
}
