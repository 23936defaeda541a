//! Clients that nobody here wrote, in a room with a bot: each sees and hears the other. `README.md` beside this says what
//! they are and how they are had; the project's README has the matrix.
//!
//! A stranger goes through three calls, where it can: it joins, it only publishes, it only watches. Its picture has a
//! colour of the bots' palette, its voice a tone of theirs, and what it gets is looked at as a bot's is.

mod lens;
mod player;
mod stranger;

use std::time::Duration;

use tessera::bots::{Bot, tiles};
use tessera::control::{RoomView, TrackState};
use tessera::probe::palette::COLOURS;
use tessera::probe::tile::Fit;

use crate::control::live;
use crate::server::Server;
use crate::sight;
use crate::sound::{SENT_DB, level, listen, trace};
use stranger::{Call, Kit, Media, Stranger};

/// The strangers' colour and tone; the bot beside it has those of index 0.
const INDEX: usize = 5;

/// How far from what was sent a tone may be when it arrives: two codecs and two clocks lie between.
const TOLERANCE_DB: f64 = 3.0;

/// More than is left of one's own voice in the mix that one gets.
const OWN_DB: f64 = -40.0;

const EVERY_CALL: &[Call] = &[Call::Join, Call::Publish, Call::Watch];

const AIORTC: Kit =
    Kit { name: "aiortc", media: Media::Own, command: &["venv/bin/python", "clients/aiortc_client.py"] };
const WERIFT: Kit = Kit { name: "werift", media: Media::Rtp, command: &["node", "clients/werift.mjs"] };
const LIBDATACHANNEL: Kit =
    Kit { name: "libdatachannel", media: Media::Rtp, command: &["node", "clients/libdatachannel.mjs"] };
const STR0M: Kit = Kit { name: "str0m", media: Media::Rtp, command: &["stranger-str0m"] };
const GSTREAMER: Kit = Kit { name: "gstreamer", media: Media::Rtp, command: &["stranger-gstreamer"] };
const FFMPEG: Kit = Kit { name: "ffmpeg", media: Media::Own, command: &["venv/bin/python", "clients/ffmpeg.py"] };

#[test]
fn aiortc() {
    meet(&AIORTC, EVERY_CALL);
}

#[test]
fn werift() {
    meet(&WERIFT, EVERY_CALL);
}

#[test]
fn libdatachannel() {
    meet(&LIBDATACHANNEL, EVERY_CALL);
}

#[test]
fn str0m() {
    meet(&STR0M, EVERY_CALL);
}

#[test]
fn gstreamer_whipsink_and_whepsrc() {
    meet(&GSTREAMER, &[Call::Publish, Call::Watch]);
}

#[test]
fn ffmpeg_whip() {
    meet(&FFMPEG, &[Call::Publish]);
}

/// RFC 8842, section 5, where both ends of these know ECDSA only: OpenSSL in aiortc, and str0m's own DTLS. That the offer
/// leaves it to the server is in the tests above; without the line it is active (RFC 4145, section 4.1).
#[test]
fn any_end_begins_the_handshake() {
    let server = Server::start(&[]);
    let bot = server.join(server.bot(0));
    let room = server.room_of(1);
    for kit in [&AIORTC, &STR0M] {
        for setup in ["a=setup:active\r\n", "a=setup:passive\r\n", ""] {
            let stranger = Stranger::start(kit, Call::Watch, &server, INDEX, &["--setup", setup]);
            sees_and_hears(&server, &stranger, &room);
            stranger.leave();
        }
    }
    server.leave(bot);
    server.end();
}

/// A handshake that a peer begins anew is of no use to it, and costs the server neither the peer nor a line each.
#[test]
fn who_asks_for_another_handshake_gets_none() {
    let server = Server::start(&[]);
    let bot = server.join(server.bot(0));
    server.room_of(1);
    let stranger = Stranger::start(&AIORTC, Call::Join, &server, INDEX, &["--renegotiate"]);
    let room = server.room_of(2);
    for _ in 0..3 {
        is_seen_and_heard(&server, &bot, &room);
        sees_and_hears(&server, &stranger, &room);
    }
    stranger.leave();
    server.leave(bot);
    let log = server.end();
    assert!(!log.contains("CRITICAL") && !log.contains("GLib"), "{log}");
}

/// Has the stranger make these calls, one after the other, into a room where a bot is.
#[track_caller]
fn meet(kit: &Kit, calls: &[Call]) {
    let server = Server::start(&[]);
    let bot = server.join(server.bot(0));
    server.room_of(1);
    for call in calls {
        let stranger = Stranger::start(kit, *call, &server, INDEX, &[]);
        let sends = *call != Call::Watch;
        let room = server.room_where(&format!("{} {call}s", kit.name), |room| {
            let viewers = usize::from(!sends);
            room.participants.len() == 2 - viewers
                && room.viewers.len() == viewers
                && room.participants.iter().all(|one| live(one) && one.tile.is_some() && one.audio == TrackState::Live)
        });
        if sends {
            is_seen_and_heard(&server, &bot, &room);
        }
        if *call != Call::Publish {
            sees_and_hears(&server, &stranger, &room);
        }
        stranger.leave();
        server.room_where(&format!("{} has left", kit.name), |room| {
            room.participants.len() == 1 && room.viewers.is_empty()
        });
    }
    server.leave(bot);
    server.end();
}

/// The bot sees the stranger's colour in its tile and hears its tone.
#[track_caller]
fn is_seen_and_heard(server: &Server, bot: &Bot, room: &RoomView) {
    sight::see(&server.runtime, bot, "the stranger in its tile", |frame| sight::is_as_told(frame, room));
    server.eventually("the stranger's voice", || {
        let heard = listen(server, bot, Duration::from_secs(1));
        ((level(&heard, INDEX) - SENT_DB).abs() < TOLERANCE_DB).then_some(())
    });
}

/// The stranger sees everybody in their tiles and hears the bot, not itself.
#[track_caller]
fn sees_and_hears(server: &Server, stranger: &Stranger, room: &RoomView) {
    server.eventually("the mix at the stranger", || {
        let shown = stranger.picture()?;
        let read = tiles::read(&shown.picture(), room, Fit::Cover);
        let right = room
            .participants
            .iter()
            .all(|one| read.iter().any(|(id, tile)| *id == one.id && tile.bot == Some(sight::index(one) % COLOURS)));
        right.then_some(())
    });
    server.eventually("the bot's voice at the stranger, and not its own", || {
        let heard = stranger.heard(Duration::from_secs(1))?;
        let right = (level(&heard, 0) - SENT_DB).abs() < TOLERANCE_DB && trace(&heard, INDEX) < OWN_DB;
        right.then_some(())
    });
}
