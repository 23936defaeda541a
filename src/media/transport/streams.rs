//! What comes from a peer, on its way out of webrtcbin.

use super::*;

/// Leads a new inbound stream to the packet sink.
pub(super) fn attach(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    shared: &Arc<Shared>,
    packets: PacketSink,
) -> Result<(), GraphError> {
    let error = |detail: &str| GraphError::Link { graph: "peer".to_owned(), detail: detail.to_owned() };
    shared.inbound.fetch_add(1, Ordering::Relaxed);
    let caps = pad.current_caps().or_else(|| pad.allowed_caps());
    let media = caps.as_ref().and_then(|caps| caps.structure(0)).and_then(|s| s.get::<String>("media").ok());
    let kind = match media.as_deref() {
        Some("audio") => Some(Kind::Audio),
        Some("video") => Some(Kind::Video),
        _ => None,
    };
    if kind == Some(Kind::Video) {
        *shared.video_pad.lock().unwrap_or_else(PoisonError::into_inner) = Some(pad.downgrade());
    }
    let sink = gst_app::AppSink::builder().sync(false).async_(false).enable_last_sample(false).build();
    let counted = shared.clone();
    let last_caps = Mutex::new(None::<gst::Caps>);
    sink.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                let Some(kind) = kind.filter(|_| counted.verified.load(Ordering::Acquire)) else {
                    counted.refused.fetch_add(1, Ordering::Relaxed);
                    return Ok(gst::FlowSuccess::Ok);
                };
                let mut last = last_caps.lock().unwrap_or_else(PoisonError::into_inner);
                let changed = sample.caps().filter(|caps| last.as_deref() != Some(*caps)).map(ToOwned::to_owned);
                if changed.is_some() {
                    last.clone_from(&changed);
                }
                let packet = sample.buffer_owned();
                drop(sample);
                if let Some(mut packet) = packet {
                    // The gate made one sequence of several sources: what a decoder has of another one is of no use.
                    if sequence_number(&packet).is_some_and(|sequence| counted.gate.is_fresh(kind, sequence)) {
                        packet.make_mut().set_flags(gst::BufferFlags::DISCONT);
                    }
                    packets(kind, changed.as_ref(), packet);
                }
                Ok(gst::FlowSuccess::Ok)
            })
            .build(),
    );
    pipeline.add(&sink).map_err(|_| error("no room for an inbound stream"))?;
    sink.sync_state_with_parent().map_err(|_| error("an inbound stream did not start"))?;
    let end = sink.static_pad("sink").ok_or_else(|| error("no sink pad"))?;
    pad.link(&end).map_err(|_| error("an inbound stream cannot be linked"))?;
    Ok(())
}

fn sequence_number(packet: &gst::BufferRef) -> Option<u16> {
    guarded::bytes(packet, 2).map(u16::from_be_bytes)
}
