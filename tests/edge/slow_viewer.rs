//! A viewer whose line is dead for 8 s holds nobody up, keeps its place, and sees what is now once the line is back.

use std::time::Duration;

use tessera::bots::{BotConfig, Role};
use tessera::control::Wanted;

use crate::bystanders::{Bystanders, shows, tile_of};
use crate::eventually::eventually;
use crate::line::{BLACKOUT, Line, Weather};
use crate::program::PATIENCE;
use crate::server::Server;

const DEAD: Duration = Duration::from_secs(8);

#[test]
fn a_viewer_whose_line_is_dead_for_a_while_disturbs_nobody_and_recovers() {
    let server = Server::start(&[]);
    let mut bystanders = Bystanders::join(&server);
    let line = Line::new(&server);
    let role = Role::Watch { rendition: Wanted::Named("medium".to_owned()) };
    let viewer = server.join(line.carries(BotConfig { role, ..server.small_bot(2) }));
    let sees_now = || {
        let frame = viewer.last_frame().filter(|frame| shows(frame, &[0, 1]))?;
        let now = u64::try_from(tessera::bots::host_time().as_millis()).unwrap();
        let fresh = |index| tile_of(&frame, index, 2).timecode.is_some_and(|time| time.age_ms(now) < 1_000);
        (fresh(0) && fresh(1)).then_some(())
    };
    eventually(PATIENCE, "the viewer sees what is now", sees_now);

    bystanders.are_undisturbed("a viewer");
    line.set(BLACKOUT);
    bystanders.watch_for(DEAD);
    assert!(sees_now().is_none(), "the line was dead");
    line.set(Weather::default());
    eventually(PATIENCE, "the viewer sees what is now again", sees_now);
    bystanders.are_undisturbed("a viewer whose line is dead for a while");
    assert_eq!(server.room().viewers.len(), 1);
    assert!(!viewer.ended());
    drop((viewer, bystanders));
    server.end();
}
