//! A peer whose certificate is not the one that its offer announced is put out before anything of it is seen or heard.

use std::time::Duration;

use tessera::bots::BotConfig;

use crate::bystanders::Bystanders;
use crate::server::Server;

#[test]
fn a_peer_with_another_certificate_never_reaches_the_mix() {
    let server = Server::start(&[]);
    let mut bystanders = Bystanders::join(&server);
    // DTLS itself comes about; it is the server that has to compare. Whether the bot gets to know that it is out before
    // it counts as in is a matter of luck.
    let bot = server.try_join(BotConfig { wrong_fingerprint: true, ..server.small_bot(2) });
    server.room_where("it is out", |room| room.participants.len() == 2);
    bystanders.watch_for(Duration::from_secs(4));
    assert!(!bystanders.noticed(2), "something of it was seen or heard");
    bystanders.are_undisturbed("a peer with a wrong fingerprint");
    drop((bot, bystanders));
    assert!(server.end().contains("reason=WrongFingerprint"));
}
