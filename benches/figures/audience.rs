//! Figure 6: what one more viewer of a running rendition costs.

use std::time::Duration;

use tessera::bots::{Bot, Counts, Receive};
use tessera::control::RoomView;
use tessera::media::Templates;
use tokio::time::sleep;

use crate::cost::{Interval, profile};
use crate::crowd;
use crate::failure::Failure;
use crate::report::{Goal, Row};
use crate::server::Server;

const PARTICIPANTS: usize = 4;
const VIEWERS: usize = 50;

/// The slope of the server's CPU time between a room without and with its viewers.
pub async fn measure(templates: &Templates, length: Duration, threads: bool) -> Result<Vec<Row>, Failure> {
    let server = Server::start()?;
    let participants = (0..PARTICIPANTS).map(|index| crowd::participant(&server, index, Receive::Count)).collect();
    let mut bots = crowd::join(participants, templates).await?;
    sleep(crowd::WARM_UP).await;
    let without = Interval::measure(server.process(), length).await?;
    let viewers = (0..VIEWERS).map(|index| crowd::viewer(&server, PARTICIPANTS + index)).collect();
    let viewers = crowd::join(viewers, templates).await?;
    sleep(crowd::WARM_UP).await;
    let before = total(&viewers);
    let keyframes = keyframes(&server.room(&crowd::room())?);
    let with = Interval::measure(server.process(), length).await?;
    let after = total(&viewers);
    let room = server.room(&crowd::room())?;
    if threads {
        profile("the room", &without, 1.0);
        profile("the room with its viewers", &with, 1.0);
        profile("each viewer", &with.less(&without), VIEWERS as f64);
    }
    bots.extend(viewers);
    crowd::leave(bots).await?;

    let each = |field: fn(&Counts) -> u64| (field(&after) - field(&before)) as f64 / VIEWERS as f64 / with.seconds();
    let (packets, bits) = (each(|counts| counts.video_packets), each(|counts| counts.video_bytes) * 8.0);
    let audio = each(|counts| counts.audio_packets);
    // On a machine that is too busy viewers lose packets, and ask for keyframes, which makes the rendition dearer.
    println!(
        "  (each viewer gets {packets:.0} packets of video and {audio:.0} of sound a second; {} were lost, {} keyframes made)",
        after.lost - before.lost,
        self::keyframes(&room) - keyframes,
    );
    let watchers: usize = room.renditions.iter().map(|rendition| rendition.watchers.len()).sum();
    let percent = (with.percent() - without.percent()) / VIEWERS as f64;
    Ok(vec![
        Row::new("one more viewer of a running rendition, of a core", Goal::AtMost(1.0), percent, "%"),
        Row::new("… what it gets of video", Goal::None, bits / 1e6, "Mbit/s"),
        Row::new(format!("encoders for {watchers} watchers"), Goal::AtMost(1.0), room.renditions.len() as f64, ""),
    ])
}

fn keyframes(room: &RoomView) -> u64 {
    room.renditions.iter().map(|rendition| rendition.keyframes).sum()
}

fn total(bots: &[Bot]) -> Counts {
    bots.iter().map(Bot::counts).fold(Counts::default(), |sum, counts| Counts {
        video_packets: sum.video_packets + counts.video_packets,
        video_bytes: sum.video_bytes + counts.video_bytes,
        audio_packets: sum.audio_packets + counts.audio_packets,
        lost: sum.lost + counts.lost,
        ..sum
    })
}
