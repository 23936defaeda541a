//! Figure 6: what one more viewer of a running rendition costs.

use std::ops::Range;
use std::time::Duration;

use tessera::bots::{Bot, Counts, Receive};
use tessera::media::Templates;
use tokio::time::sleep;

use crate::cost::{Interval, profile};
use crate::crowd;
use crate::failure::Failure;
use crate::reference::{Reference, WHERE_GOALS_WERE_SET};
use crate::report::{Goal, Row};
use crate::server::Server;
use tessera::probe::estimate::Estimate;

const PARTICIPANTS: usize = 4;
/// Viewers whose cost is measured: as many as leave the machine room for themselves beside the server.
const MEASURED: usize = 25;
const VIEWERS: usize = 50;

/// What a viewer may take of a core where the goals were set, in %.
const GOAL: f64 = 1.0;

/// The slope of the server's CPU time between a room without and with its viewers.
pub async fn measure(
    templates: &Templates,
    length: Duration,
    threads: bool,
    reference: &mut Reference,
) -> Result<Vec<Row>, Failure> {
    reference.take(templates, length).await?;
    let server = Server::start()?;
    let participants = (0..PARTICIPANTS).map(|index| crowd::participant(&server, index, Receive::Count)).collect();
    let mut bots = crowd::join(participants, templates).await?;
    sleep(crowd::WARM_UP).await;
    let without = Interval::measure(server.process(), length).await?;

    let viewers = |range: Range<usize>| range.map(|index| crowd::viewer(&server, PARTICIPANTS + index)).collect();
    let measured = crowd::join(viewers(0..MEASURED), templates).await?;
    sleep(crowd::WARM_UP).await;
    let (before, encoded_before) = (total(&measured), encoded(&server)?);
    let with = Interval::measure(server.process(), length).await?;
    let (after, encoded_after) = (total(&measured), encoded(&server)?);
    if threads {
        profile("the room", &without, 1.0);
        profile("the room with viewers", &with, 1.0);
        profile("each viewer", &with.less(&without), MEASURED as f64);
    }
    let each = |field: fn(&Counts) -> u64| (field(&after) - field(&before)) as f64 / MEASURED as f64 / with.seconds();
    let (packets, bits) = (each(|counts| counts.video_packets), each(|counts| counts.video_bytes) * 8.0);
    let (audio, lost) = (each(|counts| counts.audio_packets), after.lost - before.lost);
    let [keyframes, dropped] = std::array::from_fn(|at| encoded_after[at] - encoded_before[at]);
    // A machine that is too busy loses packets and frames, and what is measured then is not a viewer's cost.
    println!(
        "  (each viewer got {packets:.0} packets of video and {audio:.0} of sound a second; {lost} packets were lost, \
         {dropped} frames dropped, {keyframes} keyframes made)"
    );
    crowd::leave(measured).await?;
    sleep(crowd::WARM_UP).await;
    // The room without them once more, so that a change of the machine's pace is not taken for theirs.
    let again = Interval::measure(server.process(), length).await?;
    let alone = (without.percent() + again.percent()).scaled(0.5);
    let drift = (without.percent().value - again.percent().value).abs() / 2.0;
    let alone = Estimate { error: alone.error.max(drift), ..alone };
    let percent = (with.percent() - alone).scaled(1.0 / MEASURED as f64);

    let measured = crowd::join(viewers(0..MEASURED), templates).await?;
    bots.extend(measured);
    bots.extend(crowd::join(viewers(MEASURED..VIEWERS), templates).await?);
    let room = server.room(&crowd::room())?;
    crowd::leave(bots).await?;
    let encoders = room.renditions.len() as f64;
    reference.take(templates, length).await?;
    let encode = reference.encode().ok_or(Failure::Missing("the reference"))?;
    let lossy = (lost > 0 || dropped > 0)
        .then(|| format!("{lost} packets were lost and {dropped} frames dropped: the machine was full"));
    let doubt = without.doubt().or(with.doubt()).or(again.doubt()).or(lossy).or(reference.doubt());
    let goal = Goal::AtMost(GOAL / WHERE_GOALS_WERE_SET);
    Ok(vec![
        Row::of("one more viewer of a running rendition, in encodes", goal, percent / encode, "encodes")
            .doubted(doubt.clone()),
        Row::cpu("… of a core", percent).doubted(doubt),
        Row::new("… what it gets of video", Goal::None, bits / 1e6, "Mbit/s"),
        Row::new(format!("encoders for {VIEWERS} viewers and the participants"), Goal::AtMost(1.0), encoders, ""),
    ])
}

/// Keyframes that were made, and frames that the encoder was too slow for.
fn encoded(server: &Server) -> Result<[u64; 2], Failure> {
    let renditions = server.room(&crowd::room())?.renditions;
    Ok([
        renditions.iter().map(|rendition| rendition.keyframes).sum(),
        renditions.iter().map(|rendition| rendition.dropped).sum(),
    ])
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
