//! What a configuration must fulfil beyond its types. Everything wrong is found at the start and named with its key.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use super::{Audio, Bots, Config, Ice, Limits, Rendition, Secret, Server};

/// Canvas and renditions, in pixels, even: 4:2:0 pictures have half as many chroma samples each way.
const SIZES: RangeInclusive<u32> = 16..=4096;
const FRAME_RATES: RangeInclusive<u32> = 1..=60;
/// Of a video encode, in bit/s.
const VIDEO_BITRATES: RangeInclusive<u32> = 16_000..=50_000_000;
/// What Opus can be encoded at, in bit/s (RFC 6716, section 2.1.1).
const AUDIO_BITRATES: RangeInclusive<u32> = 6_000..=510_000;
const GATE_DBFS: RangeInclusive<f32> = -120.0..=0.0;
/// TURN credentials, in seconds: long enough for a join on a slow line, short enough to be worth nothing when they leak.
const TURN_TTL: RangeInclusive<u32> = 60..=604_800;
/// What layouts are made for.
const PARTICIPANTS: RangeInclusive<usize> = 1..=25;
const SDP_BYTES: RangeInclusive<usize> = 1_024..=1_048_576;
const MESSAGE_BYTES: RangeInclusive<usize> = 1_024..=4_194_304;
/// Few enough that two for each are no burden, and so many that a page with all it loads and the probes have theirs.
const CONNECTIONS: RangeInclusive<usize> = 32..=100_000;
const LINGER: RangeInclusive<u32> = 0..=86_400;
/// Longest name of a rendition, in bytes.
const MAX_NAME: usize = 32;
/// What a client may ask for besides the ladder's names.
const RESERVED: [&str; 2] = ["auto", "audio"];

/// Why a configuration cannot be used: its key, and what is wrong with the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct InvalidConfig {
    pub key: String,
    pub problem: String,
}

type Checked = Result<(), InvalidConfig>;

impl Config {
    /// Finds the first thing that is wrong.
    pub fn check(&self) -> Checked {
        server(&self.server)?;
        ice(&self.ice)?;
        size("video.width", self.video.width)?;
        size("video.height", self.video.height)?;
        within("video.fps", self.video.fps, &FRAME_RATES)?;
        audio(&self.audio)?;
        ladder(&self.renditions)?;
        limits(&self.limits)?;
        bots(&self.bots)
    }
}

fn server(server: &Server) -> Checked {
    token("server.token", &server.token)?;
    // As browsers send them: scheme, host and port, nothing behind.
    for origin in &server.origins {
        let host = ["https://", "http://"].iter().find_map(|scheme| origin.strip_prefix(scheme)).unwrap_or_default();
        let plain = host.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b'?' | b'#' | b'@' | b'*'));
        require(!host.is_empty() && plain, "server.origins", format!("{origin:?} is not https://host[:port]"))?;
    }
    Ok(())
}

/// RFC 6750, section 2.1 (`b64token`): what can stand in a header and in a link alike. The value is no part of the message.
fn token(key: &str, token: &Secret) -> Checked {
    let symbols = token.reveal().trim_end_matches('=');
    let plain = symbols.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b));
    require(
        plain && (token.is_empty() || !symbols.is_empty()),
        key,
        "has others than A-Z a-z 0-9 - . _ ~ + / (and = at the end)",
    )
}

fn ice(ice: &Ice) -> Checked {
    for url in &ice.stun {
        ice_url("ice.stun", url, &["stun:", "stuns:"])?;
    }
    for url in &ice.turn {
        ice_url("ice.turn", url, &["turn:", "turns:"])?;
    }
    let secret = ice.turn_secret.as_ref();
    require(ice.turn.is_empty() || secret.is_some(), "ice.turn_secret", "is missing, but ice.turn has servers")?;
    require(secret.is_none_or(|secret| !secret.is_empty()), "ice.turn_secret", "is empty")?;
    within("ice.turn_ttl", ice.turn_ttl, &TURN_TTL)?;
    let (min, max) = (ice.port_min, ice.port_max);
    require(
        (min == 0) == (max == 0),
        "ice.port_max",
        "has to be given together with ice.port_min; 0 and 0 is any port",
    )?;
    require(min <= max, "ice.port_max", format!("is {max}, below ice.port_min, which is {min}"))?;
    let both = ice.addresses.iter().find(|address| ice.exclude_addresses.contains(address));
    both.map_or(Ok(()), |address| invalid("ice.exclude_addresses", format!("has {address}, as ice.addresses has")))
}

/// The URLs also go into `Link` headers, where `<`, `>` or a space would end them.
fn ice_url(key: &str, url: &str, schemes: &[&str]) -> Checked {
    let rest = schemes.iter().find_map(|scheme| url.strip_prefix(scheme)).unwrap_or_default();
    let plain = rest.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'"' | b'\\'));
    let expected = schemes.join(" or ");
    require(!rest.is_empty() && plain, key, format!("{url:?} is not {expected}host[:port], in plain characters"))
}

fn audio(audio: &Audio) -> Checked {
    within("audio.bitrate", audio.bitrate, &AUDIO_BITRATES)?;
    let (min, max) = GATE_DBFS.into_inner();
    let problem = format!("is {}, not within {min} to {max}", audio.gate_dbfs);
    require(GATE_DBFS.contains(&audio.gate_dbfs), "audio.gate_dbfs", problem)
}

fn ladder(renditions: &[Rendition]) -> Checked {
    require(!renditions.is_empty(), "renditions", "there has to be at least one")?;
    let mut names = HashSet::new();
    for (index, rendition) in renditions.iter().enumerate() {
        let key = |field: &str| format!("renditions[{index}].{field}");
        let name = rendition.name.as_str();
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        let fits = (1..=MAX_NAME).contains(&name.len());
        require(plain && fits, key("name"), format!("{name:?} is not 1 to {MAX_NAME} of A-Z a-z 0-9 - _ ."))?;
        require(!RESERVED.contains(&name), key("name"), format!("{name:?} has a meaning of its own"))?;
        require(names.insert(name), key("name"), format!("{name:?} is there already"))?;
        size(key("width"), rendition.width)?;
        size(key("height"), rendition.height)?;
        within(key("fps"), rendition.fps, &FRAME_RATES)?;
        within(key("bitrate"), rendition.bitrate, &VIDEO_BITRATES)?;
    }
    let descends = renditions.is_sorted_by_key(|rendition| std::cmp::Reverse(rendition.bitrate));
    require(descends, "renditions", "have to be ordered from the highest bitrate to the lowest")
}

fn limits(limits: &Limits) -> Checked {
    require(limits.rooms >= 1, "limits.rooms", "has to be at least 1")?;
    within("limits.participants", limits.participants, &PARTICIPANTS)?;
    within("limits.sdp_bytes", limits.sdp_bytes, &SDP_BYTES)?;
    within("limits.message_bytes", limits.message_bytes, &MESSAGE_BYTES)?;
    for (key, least) in [
        ("limits.joins_per_second", limits.joins_per_second >= 1),
        ("limits.joins_per_second_per_address", limits.joins_per_second_per_address >= 1),
        ("limits.joining", limits.joining >= 1),
        ("limits.joining_per_address", limits.joining_per_address >= 1),
    ] {
        require(least, key, "has to be at least 1")?;
    }
    within("limits.connections", limits.connections, &CONNECTIONS)?;
    within("limits.linger", limits.linger, &LINGER)
}

fn bots(bots: &Bots) -> Checked {
    let web = bots.server.starts_with("http://") || bots.server.starts_with("https://");
    require(web, "bots.server", format!("{:?} is not http://host[:port]", bots.server))?;
    token("bots.token", &bots.token)?;
    size("bots.size", bots.size.width)?;
    size("bots.size", bots.size.height)?;
    within("bots.fps", bots.fps, &FRAME_RATES)?;
    within("bots.bitrate", bots.bitrate, &VIDEO_BITRATES)
}

fn size(key: impl Into<String>, pixels: u32) -> Checked {
    let key = key.into();
    within(key.clone(), pixels, &SIZES)?;
    require(pixels.is_multiple_of(2), key, format!("is {pixels}, which is odd"))
}

fn within<T: PartialOrd + std::fmt::Display>(key: impl Into<String>, value: T, range: &RangeInclusive<T>) -> Checked {
    let problem = || format!("is {value}, not within {} to {}", range.start(), range.end());
    if range.contains(&value) { Ok(()) } else { invalid(key, problem()) }
}

fn require(holds: bool, key: impl Into<String>, problem: impl Into<String>) -> Checked {
    if holds { Ok(()) } else { invalid(key, problem) }
}

fn invalid(key: impl Into<String>, problem: impl Into<String>) -> Checked {
    Err(InvalidConfig { key: key.into(), problem: problem.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        change(&mut config);
        config.check().expect_err("the change is wrong").to_string()
    }

    #[test]
    fn the_defaults_are_right() {
        assert_eq!(Config::default().check(), Ok(()));
    }

    #[test]
    fn sizes_are_even_and_within_reason() {
        assert_eq!(refused(|c| c.video.width = 1279), "video.width: is 1279, which is odd");
        assert_eq!(refused(|c| c.video.height = 8), "video.height: is 8, not within 16 to 4096");
        assert_eq!(refused(|c| c.video.fps = 0), "video.fps: is 0, not within 1 to 60");
        assert_eq!(refused(|c| c.renditions[2].height = 8192), "renditions[2].height: is 8192, not within 16 to 4096");
    }

    #[test]
    fn the_ladder_has_names_and_an_order() {
        assert_eq!(
            refused(|c| c.renditions[1].name = "audio".into()),
            "renditions[1].name: \"audio\" has a meaning of its own"
        );
        assert_eq!(refused(|c| c.renditions[1].name = "high".into()), "renditions[1].name: \"high\" is there already");
        assert!(refused(|c| c.renditions[0].name = "a b".into()).starts_with("renditions[0].name: \"a b\" is not"));
        assert!(refused(|c| c.renditions.reverse()).starts_with("renditions: have to be ordered"));
        assert!(refused(|c| c.renditions.clear()).starts_with("renditions: there has to be"));
    }

    #[test]
    fn turn_needs_its_secret_and_proper_urls() {
        let turn = |c: &mut Config| c.ice.turn = vec!["turn:turn.example.net:3478".into()];
        assert!(refused(turn).starts_with("ice.turn_secret: is missing"));
        assert!(
            refused(|c| {
                turn(c);
                c.ice.turn_secret = Some(Secret::default())
            })
            .starts_with("ice.turn_secret: is empty")
        );
        for url in ["stun:", "http://x", "stun:a b", "stun:a>; rel=x", "stun:é"] {
            assert!(refused(|c| c.ice.stun = vec![url.into()]).starts_with("ice.stun: "), "{url}");
        }
    }

    #[test]
    fn bots_send_what_can_be_encoded() {
        assert_eq!(refused(|c| c.bots.size.width = 641), "bots.size: is 641, which is odd");
        assert_eq!(refused(|c| c.bots.fps = 0), "bots.fps: is 0, not within 1 to 60");
        assert!(refused(|c| c.bots.server = "demo".into()).starts_with("bots.server: \"demo\" is not http"));
    }

    #[test]
    fn tokens_are_plain_and_never_shown() {
        for wrong in ["s3cret token", "s3cret\"", "é", "=", "s3=cret"] {
            let (server, bots) = (refused(|c| c.server.token = wrong.into()), refused(|c| c.bots.token = wrong.into()));
            assert!(server.starts_with("server.token: has others"), "{server}");
            assert!(bots.starts_with("bots.token: has others"), "{bots}");
            assert!(!server.contains(wrong) || wrong == "=", "{server}");
        }
        let mut config = Config::default();
        config.server.token = "aZ09-._~+/==".into();
        config.bots.token = "north".into();
        config.ice.turn_secret = Some("south".into());
        assert_eq!(config.check(), Ok(()));
        let shown = format!("{config:?}");
        assert!(["aZ09", "north", "south"].iter().all(|secret| !shown.contains(secret)), "{shown}");
    }

    #[test]
    fn origins_are_bare() {
        for origin in ["meet.example.org", "https://", "https://meet.example.org/", "https://*", "null"] {
            assert!(refused(|c| c.server.origins = vec![origin.into()]).starts_with("server.origins: "), "{origin}");
        }
        let mut config = Config::default();
        config.server.origins = vec!["https://meet.example.org".into(), "http://[::1]:3000".into()];
        assert_eq!(config.check(), Ok(()));
    }

    #[test]
    fn ports_are_a_range() {
        assert!(refused(|c| c.ice.port_min = 5000).starts_with("ice.port_max: has to be given together"));
        assert!(
            refused(|c| (c.ice.port_min, c.ice.port_max) = (6000, 5000)).starts_with("ice.port_max: is 5000, below")
        );
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        assert!(refused(|c| c.audio.gate_dbfs = f32::NAN).starts_with("audio.gate_dbfs: is NaN"));
        assert!(refused(|c| c.limits.participants = 26).starts_with("limits.participants: is 26"));
        assert!(refused(|c| c.limits.joins_per_second = 0).starts_with("limits.joins_per_second"));
    }
}
