//! Streams of frames, one each 33 ms, and what becomes of them.

use super::*;

const FPS: u64 = 30;
const KEYFRAME: CodedFrame = CodedFrame::Keyframe;
const DELTA: CodedFrame = CodedFrame::Delta { reference: true };
const UNREFERENCED: CodedFrame = CodedFrame::Delta { reference: false };
const COST: Cost = Cost { bytes: 4_000, pixels: 640 * 360 };

/// What a decoder got of a stream, by number, and what it showed of that.
struct Run {
    intake: Intake<u64>,
    requests: KeyframeRequests,
    next: u64,
    decoded: Vec<u64>,
    shown: Vec<u64>,
    asked: Vec<u64>,
    seen: bool,
    cost: Cost,
}

impl Run {
    fn new() -> Self {
        let mut requests = KeyframeRequests::default();
        // Its first packets are over.
        (0..2).for_each(|_| {
            let _ = requests.packet(Duration::ZERO);
        });
        let (decoded, shown, asked) = (Vec::new(), Vec::new(), Vec::new());
        Self { intake: Intake::new(), requests, next: 0, decoded, shown, asked, seen: true, cost: COST }
    }

    fn time(&self) -> Duration {
        Duration::from_millis(self.next * 1_000 / FPS)
    }

    fn carry_out(&mut self, mut decision: Decision<u64>, frame: Option<u64>) {
        if decision.ask {
            self.asked.push(self.next);
        }
        let caught_up = std::iter::from_fn(|| decision.catch_up.pop());
        for frame in caught_up.chain(frame.filter(|_| decision.decode)) {
            self.decoded.push(frame);
            let stamp = Duration::from_millis(frame * 1_000 / FPS);
            match self.intake.shown(&self.requests) {
                Shown::From(from) if stamp >= from => self.shown.push(frame),
                _ => {}
            }
        }
    }

    fn frame(&mut self, frame: CodedFrame, after_loss: bool) {
        let (now, seen, cost) = (self.time(), self.seen, self.cost);
        if self.requests.packet(now) && self.requests.request(now) {
            self.asked.push(self.next);
        }
        let arrival = Arrival { now, stamp: Some(now), frame, after_loss, seen, cost };
        let decision = self.intake.arrive(&mut self.requests, arrival, &self.next);
        self.carry_out(decision, Some(self.next));
        self.next += 1;
    }

    fn frames(&mut self, count: u64, frame: CodedFrame) -> &mut Self {
        (0..count).for_each(|_| self.frame(frame, false));
        self
    }

    fn lose_one(&mut self) -> &mut Self {
        self.next += 1;
        self.frame(DELTA, true);
        self
    }

    /// Nobody looks from now on.
    fn leave(&mut self) -> &mut Self {
        self.seen = false;
        self
    }

    fn look(&mut self) -> &mut Self {
        self.seen = true;
        let now = self.time();
        let decision = self.intake.look(&mut self.requests, now);
        self.carry_out(decision, None);
        self
    }

    /// What happened since this was last asked.
    fn decoded(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.decoded)
    }

    fn shown(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.shown)
    }

    fn asked(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.asked)
    }
}

fn range(range: std::ops::Range<u64>) -> Vec<u64> {
    range.collect()
}

#[test]
fn after_a_loss_nothing_is_shown_until_a_keyframe() {
    let mut run = Run::new();
    run.frames(1, KEYFRAME).frames(9, DELTA).lose_one().frames(8, DELTA).frames(1, KEYFRAME).frames(9, DELTA);
    assert_eq!((run.decoded(), run.asked()), ([range(0..10), range(20..30)].concat(), vec![11]));
    assert_eq!(run.shown(), [range(0..10), range(20..30)].concat());
}

#[test]
fn what_nobody_looks_at_is_caught_up_with_when_somebody_does() {
    let mut run = Run::new();
    run.frames(1, KEYFRAME).frames(9, DELTA).leave().frames(100, DELTA);
    assert_eq!(run.decoded(), range(0..10), "nobody looks");
    run.shown();
    run.look();
    assert_eq!((run.decoded(), run.shown()), (range(10..110), vec![109]), "only the newest is worth showing");
    run.frames(2, DELTA);
    assert_eq!((run.decoded(), run.shown()), (range(110..112), range(110..112)));
    // A keyframe makes what is before it needless.
    run.leave().frames(50, DELTA).frames(1, KEYFRAME).frames(5, DELTA).look();
    assert_eq!((run.decoded(), run.shown()), (range(162..168), vec![167]));
}

#[test]
fn who_answers_requests_is_not_kept_but_asked_when_somebody_looks() {
    let mut run = Run::new();
    run.frames(1, KEYFRAME).frames(59, DELTA).leave();
    for _ in 0..200 {
        let answer = run.asked.last().is_some_and(|asked| asked + 3 == run.next);
        run.frame(if answer { KEYFRAME } else { DELTA }, false);
    }
    assert_eq!(run.asked(), [60, 90], "that it answers is seen");
    assert!(run.intake.kept.is_empty() && run.decoded() == range(0..60));
    run.look();
    assert_eq!((run.asked(), run.decoded()), (vec![260], vec![]));
    run.frames(3, DELTA).frames(1, KEYFRAME).frames(2, DELTA);
    assert_eq!(run.decoded(), range(263..266));
}

#[test]
fn who_does_not_answer_is_not_asked_for_ever_while_nobody_looks() {
    let mut run = Run::new();
    run.frames(1, KEYFRAME).leave().frames(600, DELTA);
    assert_eq!(run.asked().len(), PROBES as usize);
}

#[test]
fn what_is_too_much_to_be_kept_is_decoded_until_the_next_keyframe() {
    let mut run = Run::new();
    run.cost = Cost { bytes: 160_000, pixels: 1_920 * 1_080 };
    run.leave().frames(1, KEYFRAME).frames(90, DELTA);
    assert_eq!(run.decoded(), range(0..0));
    run.frames(100, DELTA);
    assert_eq!(run.decoded(), range(0..191), "a hundred are kept, then all of them are decoded");
    run.frames(1, KEYFRAME).frames(10, DELTA);
    assert_eq!(run.decoded(), range(0..0), "the next ones are kept again");
    run.look();
    assert_eq!(run.decoded(), range(191..202));
}

#[test]
fn a_loss_that_nobody_sees_makes_what_was_kept_useless() {
    let mut run = Run::new();
    run.leave().frames(1, KEYFRAME).frames(10, DELTA).lose_one().frames(10, DELTA).look();
    assert_eq!((run.decoded(), run.intake.kept.is_empty()), (vec![], true));
    run.frames(1, KEYFRAME).frames(1, DELTA);
    assert_eq!(run.decoded().len(), 2);
}

#[test]
fn intra_refresh_is_shown_when_the_picture_is_whole() {
    let refresh = CodedFrame::RecoveryPoint { frames: 10, reference: true };
    let mut run = Run::new();
    // Of what came before, nothing was seen. A frame that is no reference brings nothing nearer.
    run.frames(5, DELTA).frames(1, refresh).frames(4, DELTA).frames(1, UNREFERENCED).frames(10, DELTA);
    assert_eq!((run.decoded(), run.shown()), (range(5..21), range(16..21)));
    // After a loss, too.
    run.lose_one().frames(7, DELTA).frames(1, refresh).frames(12, DELTA);
    assert_eq!((run.decoded(), run.shown()), (range(30..43), range(40..43)));
    run.asked();
    // Unseen, it is kept from where it can become whole.
    run.leave();
    for _ in 0..5 {
        run.frames(1, refresh).frames(29, DELTA);
    }
    run.frames(1, refresh).frames(5, DELTA).look();
    let (decoded, shown) = (run.decoded(), run.shown());
    assert_eq!((decoded, shown), (range(163..199), vec![198]));
}

#[test]
fn pictures_before_the_first_of_an_open_group_are_not_shown() {
    let open = CodedFrame::RecoveryPoint { frames: 0, reference: true };
    let mut run = Run::new();
    run.frames(5, DELTA).frames(1, open);
    // B frames that lead it: sent after it, shown before it.
    let (now, early) = (run.time(), Duration::from_millis(140));
    let arrival =
        |stamp| Arrival { now, stamp: Some(stamp), frame: UNREFERENCED, after_loss: false, seen: true, cost: COST };
    run.intake.arrive(&mut run.requests, arrival(early), &6);
    let Shown::From(from) = run.intake.shown(&run.requests) else { panic!("it is whole") };
    assert!(from > early && from < now);
}

#[test]
fn who_answers_nothing_is_shown_smeared_after_a_while() {
    let mut run = Run::new();
    run.frames(1, KEYFRAME).frames(29, DELTA).lose_one();
    run.shown();
    run.frames(240, DELTA);
    let shown = run.shown();
    // Three half seconds after the first request.
    assert!(shown.first().is_some_and(|first| (75..80).contains(first)) && shown.len() > 190, "{shown:?}");
    run.frames(1, KEYFRAME).lose_one().frames(30, DELTA);
    assert_eq!(run.shown().len(), 1, "a keyframe ends it");
}

#[test]
fn what_never_was_whole_is_shown_later_or_from_an_intra_picture_on() {
    let mut run = Run::new();
    run.frames(15 * FPS, DELTA);
    assert!(run.shown().first().is_some_and(|first| (9 * FPS..11 * FPS).contains(first)));
    let mut run = Run::new();
    let intra = CodedFrame::Intra { reference: true };
    run.frames(10, DELTA).frames(1, intra).frames(100, DELTA);
    assert_eq!(run.shown(), range(0..0), "who may answer a request is given time to do so");
    run.frames(1, intra).frames(2, DELTA);
    assert_eq!(run.shown(), range(111..114));
}

#[test]
fn parameter_sets_that_come_alone_pass_always() {
    let mut run = Run::new();
    run.leave().frames(2, CodedFrame::Headers).frames(1, DELTA).frames(1, CodedFrame::Headers);
    assert_eq!(run.decoded(), [0, 1, 3]);
}

#[test]
fn who_is_refused_is_not_asked_for_keyframes_and_begins_anew() {
    let mut run = Run::new();
    run.frames(1, KEYFRAME).frames(5, DELTA);
    run.intake.refuse(&mut run.requests);
    assert!(!run.requests.request(run.time()));
    run.decoded();
    run.frames(30, DELTA);
    assert_eq!((run.decoded(), run.asked()), (vec![], vec![6, 21]));
}
