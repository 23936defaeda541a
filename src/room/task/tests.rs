//! What a room's task owes to the others on its thread.

use std::time::Instant;

use super::*;
use crate::control::{Intent, Wanted};

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
