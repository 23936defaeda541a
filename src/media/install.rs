//! Is the GStreamer that is installed one that this server can use?

use gstreamer as gst;

/// The oldest GStreamer that is supported (Debian 12).
const MINIMUM: (u32, u32) = (1, 22);

/// Elements by the package of Debian that brings them, besides those that templates name.
const ELEMENTS: &[(&str, &str)] = &[
    ("webrtcbin", "gstreamer1.0-plugins-bad"),
    ("dtlsdec", "gstreamer1.0-plugins-bad"),
    ("srtpenc", "gstreamer1.0-plugins-bad"),
    ("rsvgdec", "gstreamer1.0-plugins-bad"),
    ("nicesrc", "gstreamer1.0-nice"),
    ("rtpbin", "gstreamer1.0-plugins-good"),
    ("capssetter", "gstreamer1.0-plugins-good"),
    ("vp8enc", "gstreamer1.0-plugins-good"),
    ("jpegenc", "gstreamer1.0-plugins-good"),
    ("videoscale", "gstreamer1.0-plugins-base"),
    ("x264enc", "gstreamer1.0-plugins-ugly"),
    ("avdec_h264", "gstreamer1.0-libav"),
];

/// Why media cannot be used on this machine.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    #[error("GStreamer does not start")]
    Init(#[from] gst::glib::Error),
    #[error("GStreamer is {found}, but {}.{} is the oldest that is supported", MINIMUM.0, MINIMUM.1)]
    TooOld { found: String },
    #[error("GStreamer has no {element}; on Debian it comes with {package}")]
    Missing { element: &'static str, package: &'static str },
}

/// Starts GStreamer, once for the process, and checks that all is there. Any thread.
pub fn init() -> Result<(), MediaError> {
    gst::init()?;
    let (major, minor, micro, _) = gst::version();
    if (major, minor) < MINIMUM {
        return Err(MediaError::TooOld { found: format!("{major}.{minor}.{micro}") });
    }
    for (element, package) in ELEMENTS {
        if gst::ElementFactory::find(element).is_none() {
            return Err(MediaError::Missing { element, package });
        }
    }
    tracing::debug!(version = format!("{major}.{minor}.{micro}"), "GStreamer is ready");
    Ok(())
}
