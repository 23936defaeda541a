//! An audience costs one encoder and few keyframes, however many come at once.

use tessera::bots::{Bot, BotConfig, Receive, Role};
use tessera::control::Wanted;

use crate::server::Server;

/// This many viewers, who only count what comes, at once.
fn crowd(server: &Server, first: usize, count: usize) -> Vec<Bot> {
    let watch =
        |index| BotConfig { receive: Receive::Count, ..server.watcher(first + index, Wanted::Named("low".to_owned())) };
    let joining: Vec<_> = (0..count)
        .map(|index| {
            let (config, templates) = (watch(index), server.templates.clone());
            server.runtime.spawn(async move { Bot::join(config, &templates).await })
        })
        .collect();
    joining.into_iter().map(|joined| server.runtime.block_on(joined).unwrap().unwrap()).collect()
}

#[test]
fn a_crowd_shares_an_encoder_and_its_keyframes() {
    let server = Server::start(&[]);
    let publisher = server.join(BotConfig { role: Role::Publish, ..server.bot(0) });
    server.room_of(1);
    let first = crowd(&server, 100, 1);
    server.eventually("a picture", || first[0].first_frame_time());
    let keyframes = || server.room().renditions[0].keyframes;

    let before = keyframes();
    let ten = crowd(&server, 101, 10);
    server.eventually("pictures for ten", || ten.iter().all(|bot| bot.first_frame_time().is_some()).then_some(()));
    let cost = keyframes() - before;
    assert!(cost <= 4, "{cost} keyframes for 10 viewers");

    let mut all = crowd(&server, 111, 20);
    all.extend(crowd(&server, 131, 19));
    server.eventually("pictures for fifty", || all.iter().all(|bot| bot.first_frame_time().is_some()).then_some(()));
    let room = server.room();
    assert_eq!((room.viewers.len(), room.renditions.len()), (50, 1));
    assert_eq!(room.renditions[0].watchers.len(), 50);
    drop((publisher, first, ten, all));
    server.end();
}
