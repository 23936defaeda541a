//! Participants whose pictures are valid and too much: too many frames, too many pixels. They are told of it, and cost
//! the others nothing.

use std::time::Duration;

use tessera::bots::{Bot, BotConfig};
use tessera::control::PictureRefusal;
use tessera::media::Templates;

use crate::bystanders::Bystanders;
use crate::server::Server;

/// Takes what the bot would send, and sends this in its place.
fn templates(source: &str) -> Templates {
    const PICTURE: &str = "appsrc name=picture-in is-live=true format=time max-bytes=0 max-buffers=0 max-time=0 \
                           ! vp8enc name=encoder target-bitrate=${bitrate} ! fakesink sync=false async=false";
    let twcc = "application/x-rtp,\
        extmap-1=(string)\\\"http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\\\"";
    let home = std::env::temp_dir().join(format!("tessera-pixels-{}", std::process::id()));
    std::fs::create_dir_all(&home).unwrap();
    let chain = format!(
        "{PICTURE}\nvideotestsrc is-live=true pattern=black ! {source} \
         ! vp8enc deadline=1 cpu-used=-16 threads=1 lag-in-frames=0 keyframe-max-dist=30 \
         ! rtpvp8pay pt=96 mtu=1200 picture-id-mode=15-bit ! capsfilter caps=\"{twcc}\""
    );
    std::fs::write(home.join("bot-send-vp8.launch"), chain).unwrap();
    let templates = Templates::load(Some(&home)).unwrap();
    std::fs::remove_dir_all(&home).unwrap();
    templates
}

#[test]
fn a_picture_that_is_too_much_is_refused_and_its_sender_told() {
    let server = Server::start(&[]);
    let mut bystanders = Bystanders::join(&server);
    for (what, source, refusal) in [
        (
            "400 frames a second",
            "video/x-raw,format=I420,width=16,height=16,framerate=400/1",
            PictureRefusal::TooManyFrames,
        ),
        ("too large", "video/x-raw,format=I420,width=8192,height=1808,framerate=1/1", PictureRefusal::TooLarge),
    ] {
        let config = BotConfig { ..server.small_bot(2) };
        let bot = server.runtime.block_on(Bot::join(config, &templates(source))).unwrap();
        let reason = |room: &tessera::control::RoomView| {
            room.participants.iter().find_map(|one| one.refused.as_ref().map(|refused| refused.reason))
        };
        let room = server.room_where("it is refused", |room| reason(room).is_some());
        assert_eq!(reason(&room), Some(refusal), "{what}");
        bystanders.watch_for(Duration::from_secs(2));
        assert_eq!(reason(&server.room()), Some(refusal), "{what}: it stays so");
        bystanders.are_undisturbed(what);
        server.leave(bot);
        server.room_where("it has left", |room| room.participants.len() == 2);
    }
    // A wide screen is shown.
    let wide = templates("video/x-raw,format=I420,width=5120,height=1440,framerate=2/1");
    let bot = server.runtime.block_on(Bot::join(BotConfig { ..server.small_bot(2) }, &wide)).unwrap();
    let shown = |room: &tessera::control::RoomView| {
        room.participants
            .iter()
            .any(|one| one.picture.as_ref().is_some_and(|it| (it.width, it.height) == (5_120, 1_440)))
    };
    let room = server.room_where("it is shown", shown);
    assert!(room.participants.iter().all(|one| one.refused.is_none()), "{room:?}");
    server.leave(bot);
    drop(bystanders);
    server.end();
}
