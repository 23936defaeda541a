//! The word that a connection is over, said to its other end and heard from there.
//!
//! A client of WHIP or WHEP has nothing but its connection: without a word on that, it learns of its end by the silence of
//! ICE alone, after 5 to 30 s. DTLS has such a word, the alert `close_notify` (RFC 5246, section 7.2.1), at which a
//! browser's `RTCDtlsTransport` is `closed`. webrtcbin goes down without it; but its DTLS encoder sends it when the data
//! that come in end, as those of a data channel could. When it comes from the other end, webrtcbin's own connection state
//! stays as it is, as W3C's does: only the state of DTLS changes.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

use super::guarded;

/// How long a goodbye may take. It takes less than a millisecond; a socket or a machine that is stuck must not hold up the
/// end.
const DEADLINE: Duration = Duration::from_millis(500);

/// The type of an alert, the first byte of its record (RFC 5246, section 6.2.1).
const ALERT: u8 = 21;

/// Says goodbye to the other end of webrtcbin's DTLS connection in `pipeline`, if that is up, and waits until it is with
/// the socket. A datagram may be lost: then the other end learns by the silence. Blocks for at most 0.5 s, and belongs
/// before the pipeline's way to NULL, on the thread that takes it there.
pub(super) fn say(pipeline: &gst::Pipeline) {
    // One, as all is bundled.
    for encoder in pipeline.iterate_all_by_element_factory_name("dtlsenc").into_iter().flatten() {
        // Before the end of the handshake it would be an error, and after the goodbye of either end there is nobody to tell.
        if connection_is(&encoder, "connected") && !close(&encoder) {
            tracing::debug!("a connection ended without goodbye");
        }
    }
}

/// Calls `closed` when either end of `webrtc`'s DTLS connection says goodbye, and when the connection goes down. Called on
/// streaming threads; must not block. To be set up before webrtcbin makes its transport.
pub(super) fn hear(webrtc: &gst::Element, closed: impl Fn() + Send + Sync + 'static) {
    let Some(bin) = webrtc.downcast_ref::<gst::Bin>() else { return };
    let closed = Arc::new(closed);
    bin.connect_deep_element_added(move |_, _, element| {
        if element.factory().is_some_and(|factory| factory.name() == "dtlsenc") {
            let closed = Arc::clone(&closed);
            element.connect_notify(Some("connection-state"), move |encoder, _| {
                if connection_is(encoder, "closed") {
                    closed();
                }
            });
        }
    });
}

/// Whether this is the state of a DTLS encoder's connection.
fn connection_is(encoder: &gst::Element, state: &str) -> bool {
    let value = encoder.property_value("connection-state");
    glib::EnumValue::from_value(&value).is_some_and(|(_, value)| value.nick() == state)
}

/// Sends the alert. False if it is not out in time.
fn close(encoder: &gst::Element) -> bool {
    // webrtcbin makes the sink for each connection, with a data channel or without.
    let (Some(data), Some(output)) = (encoder.static_pad("sink"), encoder.static_pad("src")) else { return false };
    let Some(next) = output.peer() else { return false };
    let (sender, sent) = mpsc::sync_channel(1);
    guarded::probe(&next, gst::PadProbeType::BUFFER, move |_, info| {
        let Some(gst::PadProbeData::Buffer(record)) = &info.data else { return gst::PadProbeReturn::Ok };
        if guarded::bytes(record, 0) != Some([ALERT]) {
            return gst::PadProbeReturn::Ok;
        }
        // It is on its way through the sink. The encoder's pad is idle when that has it.
        let sender = sender.clone();
        guarded::probe(&output, gst::PadProbeType::IDLE, move |_, _| {
            // Whoever waited may have given up.
            let _ = sender.try_send(());
            gst::PadProbeReturn::Remove
        });
        gst::PadProbeReturn::Remove
    });
    data.send_event(gst::event::Eos::new()) && sent.recv_timeout(DEADLINE).is_ok()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// Two ends of a DTLS connection, as an encoder and a decoder each.
    struct Ends {
        pipeline: gst::Pipeline,
        encoders: [gst::Element; 2],
        decoders: [gst::Element; 2],
    }

    impl Ends {
        /// Makes them; the first one is the client.
        fn new(name: &str) -> Self {
            gst::init().unwrap();
            let pipeline = gst::Pipeline::new();
            // Empty: its elements start one after the other.
            pipeline.set_state(gst::State::Playing).unwrap();
            let make = |factory: &str, index: usize| {
                let id = format!("{name}-{index}");
                let element = gst::ElementFactory::make(factory).property("connection-id", id).build().unwrap();
                pipeline.add(&element).unwrap();
                element
            };
            let decoders = [0, 1].map(|index| make("dtlsdec", index));
            // They make the connections, which the encoders find by their ids.
            for decoder in &decoders {
                decoder.set_state(gst::State::Ready).unwrap();
            }
            let encoders = [0, 1].map(|index| make("dtlsenc", index));
            encoders[0].set_property("is-client", true);
            for (encoder, decoder) in encoders.iter().zip(decoders.iter().rev()) {
                encoder.request_pad_simple("sink").unwrap();
                encoder.link(decoder).unwrap();
            }
            Self { pipeline, encoders, decoders }
        }

        fn connect(&self) {
            // The client speaks at once; the server's end must be there by then.
            for element in self.decoders.iter().chain(self.encoders.iter().rev()) {
                element.set_state(gst::State::Playing).unwrap();
            }
            self.both("connected");
        }

        #[track_caller]
        fn both(&self, state: &str) {
            let end = Instant::now() + Duration::from_secs(10);
            while !self.encoders.iter().all(|encoder| connection_is(encoder, state)) {
                assert!(Instant::now() < end, "both are {state}");
                std::thread::park_timeout(Duration::from_millis(5));
            }
        }
    }

    impl Drop for Ends {
        fn drop(&mut self) {
            let _ = self.pipeline.set_state(gst::State::Null);
        }
    }

    #[test]
    fn a_goodbye_reaches_the_other_end() {
        let ends = Ends::new("reaches");
        ends.connect();
        assert!(close(&ends.encoders[0]));
        ends.both("closed");
    }

    #[test]
    fn an_end_that_is_not_connected_says_nothing() {
        let ends = Ends::new("early");
        // The server's end waits for the client's hello.
        ends.decoders[1].set_state(gst::State::Playing).unwrap();
        ends.encoders[1].set_state(gst::State::Playing).unwrap();
        say(&ends.pipeline);
        assert!(connection_is(&ends.encoders[1], "new"));
        ends.connect();
    }

    #[test]
    fn a_goodbye_that_is_stuck_holds_nothing_up() {
        let ends = Ends::new("stuck");
        ends.connect();
        let socket = ends.decoders[1].static_pad("sink").unwrap();
        guarded::probe(&socket, gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER, |_, _| gst::PadProbeReturn::Ok);
        let start = Instant::now();
        assert!(!close(&ends.encoders[0]));
        let took = start.elapsed();
        assert!((DEADLINE..DEADLINE * 4).contains(&took), "{took:?}");
        // And the way to NULL is free.
        assert_eq!(ends.pipeline.set_state(gst::State::Null), Ok(gst::StateChangeSuccess::Success));
    }
}
