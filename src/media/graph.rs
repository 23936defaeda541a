//! A pipeline that runs, and ends when its handle is dropped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use super::clock::RoomClock;
use super::template::{TemplateError, Templates};
use crate::budget::Permit;

/// Pipelines that are not yet down, in the whole process; and a sign at each change.
static ALIVE: Mutex<usize> = Mutex::new(0);
static ALIVE_CHANGED: Condvar = Condvar::new();

fn alive() -> MutexGuard<'static, usize> {
    // A count is whole at every moment.
    ALIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a state change may take before the pipeline is given up.
const STATE_CHANGE_DEADLINE: gst::ClockTime = gst::ClockTime::from_seconds(5);

/// Why a graph could not be made or started.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("pipeline {graph} has no element {element}")]
    NoElement { graph: String, element: String },
    #[error("pipeline {graph} did not start: {detail}")]
    NotStarted { graph: String, detail: String },
    #[error("pipeline {graph}: {detail}")]
    Link { graph: String, detail: String },
}

/// What a running graph reports by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GraphEvent {
    /// An element failed; the graph is of no use any more. Told once: after an element, its source fails, too, for it can
    /// hand on nothing more.
    Failed { element: String, detail: String },
    /// All data went through.
    Ended,
}

/// A running pipeline. Dropping it takes it down, on a thread of its own: a state change joins streaming threads, so it
/// may neither run on one of them nor hold up an async task.
#[must_use = "the pipeline is taken down when its handle is dropped"]
#[derive(Debug)]
pub struct Graph {
    name: &'static str,
    pipeline: gst::Pipeline,
    last: Option<fn(&gst::Pipeline)>,
    permit: Option<Arc<Permit>>,
    /// Whose it is, for the log.
    span: tracing::Span,
}

impl Graph {
    /// The template `name` as a pipeline on the room's clock, not yet started. `events` is called on streaming threads
    /// and must not block. What it logs, it logs in the span in which the graph was made.
    pub fn new(
        templates: &Templates,
        name: &'static str,
        values: &[(&str, String)],
        clock: RoomClock,
        events: impl Fn(GraphEvent) + Send + Sync + 'static,
    ) -> Result<Self, GraphError> {
        let pipeline = templates.pipeline(name, values)?;
        *alive() += 1;
        let graph = Self { name, pipeline, last: None, permit: None, span: tracing::Span::current() };
        clock.govern(&graph.pipeline);
        let bus = graph
            .pipeline
            .bus()
            .ok_or_else(|| GraphError::NoElement { graph: name.to_owned(), element: "bus".to_owned() })?;
        let (failed, span) = (AtomicBool::new(false), graph.span.clone());
        // Everything is handled here and dropped: a message that waits in a bus keeps its element alive.
        bus.set_sync_handler(move |_, message| {
            let _entered = span.enter();
            match message.view() {
                gst::MessageView::Error(error) if !failed.swap(true, Ordering::Relaxed) => {
                    events(GraphEvent::Failed {
                        element: message.src().map(|src| src.name().to_string()).unwrap_or_default(),
                        detail: error.error().to_string(),
                    });
                }
                gst::MessageView::Eos(_) => events(GraphEvent::Ended),
                _ => {}
            }
            gst::BusSyncReply::Drop
        });
        Ok(graph)
    }

    /// The element of this name.
    pub fn element<T: IsA<gst::Element>>(&self, name: &str) -> Result<T, GraphError> {
        self.pipeline
            .by_name(name)
            .and_then(|element| element.downcast::<T>().ok())
            .ok_or_else(|| GraphError::NoElement { graph: self.name.to_owned(), element: name.to_owned() })
    }

    /// The static pad of this name of an element.
    pub(super) fn pad(&self, element: &str, pad: &str) -> Result<gst::Pad, GraphError> {
        let missing = || GraphError::NoElement { graph: self.name.to_owned(), element: format!("{element}.{pad}") };
        self.element::<gst::Element>(element)?.static_pad(pad).ok_or_else(missing)
    }

    /// The pipeline itself, to add branches to it.
    pub fn pipeline(&self) -> &gst::Pipeline {
        &self.pipeline
    }

    /// What is to be done last, before the pipeline is taken down, on the thread that does this. It may block, but every
    /// wait in it needs a deadline: the program's end waits for it.
    pub(super) fn do_last(&mut self, last: fn(&gst::Pipeline)) {
        self.last = Some(last);
    }

    /// What the process granted for it is given back when it is down, if nothing else holds it.
    pub(super) fn hold(&mut self, permit: Arc<Permit>) {
        self.permit = Some(permit);
    }

    /// Sets it going without waiting: for pipelines whose end is waited for anyway.
    pub(super) fn begin(&self) -> Result<(), GraphError> {
        let not_started = |detail: String| GraphError::NotStarted { graph: self.name.to_owned(), detail };
        self.pipeline.set_state(gst::State::Playing).map(drop).map_err(|e| not_started(e.to_string()))
    }

    /// Starts it. Blocks until the state is reached, at most 5 s: not for async threads.
    pub fn start(&self) -> Result<(), GraphError> {
        let not_started = |detail: String| GraphError::NotStarted { graph: self.name.to_owned(), detail };
        self.pipeline.set_state(gst::State::Playing).map_err(|e| not_started(e.to_string()))?;
        let (result, state, _) = self.pipeline.state(STATE_CHANGE_DEADLINE);
        match result {
            Ok(gst::StateChangeSuccess::Async) => {
                Err(not_started(format!("still {state:?} after {STATE_CHANGE_DEADLINE}")))
            }
            Ok(_) => Ok(()),
            Err(e) => Err(not_started(e.to_string())),
        }
    }

    /// How many pipelines of this process are not yet down.
    pub fn alive() -> usize {
        *alive()
    }

    /// Waits until every pipeline is down; false if some are not within `deadline`. Blocks.
    pub fn wait_all_down(deadline: Duration) -> bool {
        let waited = ALIVE_CHANGED.wait_timeout_while(alive(), deadline, |alive| *alive > 0);
        let (count, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *count == 0
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        let (name, pipeline, last) = (self.name, self.pipeline.clone(), self.last);
        let (span, permit) = (self.span.clone(), self.permit.take());
        let down = move || {
            let _entered = span.enter();
            if let Some(last) = last {
                last(&pipeline);
            }
            if let Err(error) = pipeline.set_state(gst::State::Null) {
                tracing::error!(pipeline = name, %error, "pipeline did not go down");
            }
            if let Some(bus) = pipeline.bus() {
                bus.unset_sync_handler();
            }
            drop(pipeline);
            drop(permit);
            *alive() -= 1;
            ALIVE_CHANGED.notify_all();
        };
        if let Err(error) = std::thread::Builder::new().name("graph-down".to_owned()).spawn(down) {
            let _entered = self.span.enter();
            // Out of threads: better a pipeline left alone than a panic or a stalled task.
            tracing::error!(pipeline = name, %error, "no thread to take a pipeline down");
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::PathBuf;
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// The templates, with another text for one of them.
    pub(in crate::media) fn overridden(name: &str, text: &str) -> Templates {
        let home: PathBuf = std::env::temp_dir().join(format!("tessera-{name}-{:016x}", rand::random::<u64>()));
        std::fs::create_dir(&home).unwrap();
        std::fs::write(home.join(name).with_extension("launch"), text).unwrap();
        let templates = Templates::load(Some(&home)).unwrap();
        std::fs::remove_dir_all(&home).unwrap();
        templates
    }

    #[test]
    fn a_failure_is_told_once() {
        gst::init().unwrap();
        let templates = overridden("still", "audiotestsrc ! identity name=failing error-after=3 ! fakesink");
        let (tell, told) = mpsc::sync_channel(16);
        let graph = Graph::new(&templates, "still", &[], RoomClock::start(), move |event| drop(tell.send(event)));
        let graph = graph.unwrap();
        graph.begin().unwrap();
        let first = told.recv_timeout(PATIENCE).unwrap();
        assert!(matches!(&first, GraphEvent::Failed { element, .. } if element == "failing"), "{first:?}");
        // This waits for the streaming thread, which has told of its source by then.
        graph.pipeline().set_state(gst::State::Null).unwrap();
        let more: Vec<_> = told.try_iter().filter(|event| *event != GraphEvent::Ended).collect();
        assert_eq!(more, []);
    }
}
