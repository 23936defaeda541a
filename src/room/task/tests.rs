//! What a room's task owes to the others on its thread.

use std::time::Instant;

use super::*;
use crate::control::{Event, Intent, Wanted};
use crate::peer::Events;
use crate::room::state::Member;

#[tokio::test]
async fn the_end_of_a_room_holds_nobody_up() {
    crate::media::init().unwrap();
    let templates = Arc::new(Templates::load(None).unwrap());
    let room = RoomHandle::open("end".parse().unwrap(), Arc::default(), templates, Permit::of_nothing()).unwrap();
    let peer = PeerId::from_bits(1);
    let member = Member::new("Ada".to_owned(), Intent::Participate, Wanted::Auto);
    let place = room.admit(peer, member, Vec::new()).await.unwrap().unwrap();
    // A mixer that hangs is waited for when its last handle goes, for up to a second.
    let (tell, mut told) = mpsc::channel(1);
    let (release, held) = std::sync::mpsc::sync_channel::<()>(1);
    let listener = place.audio.add_listener(peer, move |_| {
        let _ = tell.try_send(());
        let _ = held.recv();
    });
    told.recv().await.unwrap();
    drop(place);

    // The test has one thread, on which the room ends, too.
    let begun = Instant::now();
    room.stop().await;
    tokio::task::yield_now().await;
    assert!(begun.elapsed() < Duration::from_millis(900), "it took {:?}", begun.elapsed());
    assert!(room.has_ended());
    drop((release, listener));
}

fn participant() -> Member {
    Member::new("Ada".to_owned(), Intent::Participate, Wanted::Auto)
}

/// A room with these participants, all connected, and none of them with a task that works. What each client is told, and
/// what goes with its task.
async fn room_of(ids: &[PeerId]) -> (RoomHandle, Vec<(Events, std::sync::Weak<()>)>) {
    crate::media::init().unwrap();
    let templates = Arc::new(Templates::load(None).unwrap());
    let room = RoomHandle::open("ghosts".parse().unwrap(), Arc::default(), templates, Permit::of_nothing()).unwrap();
    let mut told = Vec::new();
    for id in ids {
        room.admit(*id, participant(), Vec::new()).await.unwrap().unwrap();
        let held = Arc::new(());
        let alive = Arc::downgrade(&held);
        let (peer, events) = Peer::hanging(held);
        room.enter(*id, peer).await.unwrap();
        room.tell(News::Peer(*id, PeerNotice::Connected));
        told.push((events, alive));
    }
    (room, told)
}

async fn participants(room: &RoomHandle) -> Vec<PeerId> {
    let asked = room.call(Command::Room { room: "ghosts".parse().unwrap() }).await;
    let Ok(Ok(Reply::Room { room })) = asked else { panic!("{asked:?}") };
    room.participants.iter().map(|one| one.id).collect()
}

#[tokio::test]
async fn an_end_is_heard_whatever_floods_the_room() {
    let ids = [1, 2, 3].map(PeerId::from_bits);
    let (room, _told) = room_of(&ids).await;
    // The test has one thread: the room does not get to run before it waits.
    let flood = |room: &RoomHandle| {
        for size in 0..20_000 {
            room.tell(News::Peer(ids[0], PeerNotice::Picture { width: size, height: size }));
            room.tell(News::Peer(ids[0], PeerNotice::Heard(size % 2 == 0)));
        }
    };
    flood(&room);
    for gone in &ids[1..] {
        room.tell(News::Peer(*gone, PeerNotice::Gone(CloseReason::Vanished)));
        flood(&room);
    }
    // What happened and what is asked come in no order.
    while participants(&room).await != ids[..1] {
        tokio::task::yield_now().await;
    }
    room.stop().await;
}

#[tokio::test]
async fn a_peer_that_hangs_is_put_out_at_once_and_its_task_is_ended() {
    let ids = [1, 2].map(PeerId::from_bits);
    let (room, mut told) = room_of(&ids).await;
    let command = Command::Remove { room: "ghosts".parse().unwrap(), participant: ids[0] };
    let removed = room.call(command.clone()).await;
    assert!(matches!(removed, Ok(Ok(Reply::Done))), "{removed:?}");
    assert_eq!(participants(&room).await, ids[1..], "it is out before that is answered");
    assert!(matches!(room.call(command).await, Ok(Err(Refusal::NoPeer))), "and not there to be removed again");
    let (events, alive) = &mut told[0];
    let last = loop {
        match tokio::time::timeout(Duration::from_secs(20), events.recv()).await.expect("its client is told") {
            Some(Event::Closed { reason }) => break reason,
            Some(_) => {}
            None => panic!("its client was not told"),
        }
    };
    assert_eq!(last, CloseReason::Removed);
    while alive.upgrade().is_some() {
        tokio::task::yield_now().await;
    }
    room.stop().await;
}

#[tokio::test]
async fn a_room_that_nobody_enters_ends() {
    crate::media::init().unwrap();
    let templates = Arc::new(Templates::load(None).unwrap());
    let room = RoomHandle::open("wish".parse().unwrap(), Arc::default(), templates, Permit::of_nothing()).unwrap();
    let deadline = Instant::now() + 4 * FIRST_ENTRY;
    while !room.has_ended() {
        assert!(Instant::now() < deadline, "it is there for ever");
        tokio::time::sleep(TICK / 10).await;
    }
}
