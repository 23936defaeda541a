//! An audience costs one encoder and few keyframes, however many come at once.

use tessera::bots::{Bot, BotConfig, Receive, Role};
use tessera::control::Wanted;

use crate::conference::Conference;

/// This many viewers, who only count what comes, at once.
fn crowd(conference: &Conference, first: usize, count: usize) -> Vec<Bot> {
    let watch = |index| BotConfig {
        receive: Receive::Count,
        ..conference.watcher(first + index, Wanted::Named("low".to_owned()))
    };
    let joining: Vec<_> = (0..count)
        .map(|index| {
            let (config, templates) = (watch(index), conference.templates().clone());
            conference.runtime().spawn(async move { Bot::join(config, &templates).await })
        })
        .collect();
    joining.into_iter().map(|joined| conference.runtime().block_on(joined).unwrap().unwrap()).collect()
}

#[test]
fn a_crowd_shares_an_encoder_and_its_keyframes() {
    let conference = Conference::start(&[]);
    let publisher = conference.join(BotConfig { role: Role::Publish, ..conference.bot(0) });
    conference.room_of(1);
    let first = crowd(&conference, 100, 1);
    conference.eventually("a picture", || first[0].first_frame_time());
    let keyframes = || conference.room().renditions[0].keyframes;

    let before = keyframes();
    let ten = crowd(&conference, 101, 10);
    conference.eventually("pictures for ten", || ten.iter().all(|bot| bot.first_frame_time().is_some()).then_some(()));
    let cost = keyframes() - before;
    assert!(cost <= 4, "{cost} keyframes for 10 viewers");

    let mut all = crowd(&conference, 111, 20);
    all.extend(crowd(&conference, 131, 19));
    conference
        .eventually("pictures for fifty", || all.iter().all(|bot| bot.first_frame_time().is_some()).then_some(()));
    let room = conference.room();
    assert_eq!((room.viewers.len(), room.renditions.len()), (50, 1));
    assert_eq!(room.renditions[0].watchers.len(), 50);
    drop((publisher, first, ten, all));
    conference.end();
}
