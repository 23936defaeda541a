//! The web client's files: embedded in the binary, and made ready once, when the server starts.
//!
//! Each is there under `/assets/{version}/`, where the version is a hash of them all: such a name never means anything
//! else, so that browsers keep what they have without asking (RFC 8246). Scripts and styles name one another relatively
//! and stay under the version by which they were loaded; only the pages name it, and only pages are asked for again.
//!
//! They are compressed by gzip. Brotli would save 17 % more of some 70 kB that a browser loads once a release, but only at
//! a level that takes seconds at each start; at a quick one it saves 7 %.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};
use warp::http::header::HeaderValue;

use super::coding::Coding;

/// Where the files are, as the pages say it.
const FOLDER: &str = "\"/assets/";
/// Bytes of a hash that are shown; as hexadecimal digits twice as many.
const SHOWN: usize = 8;

#[derive(RustEmbed)]
#[folder = "assets/web"]
struct Embedded;

/// All files, by their paths.
pub struct Assets {
    version: String,
    files: BTreeMap<String, File>,
}

/// One file, packed in one or more ways, the smallest first.
pub struct File {
    pub media_type: HeaderValue,
    forms: Vec<Form>,
}

/// One way in which a file is sent.
pub struct Form {
    pub coding: Coding,
    pub content: Bytes,
    /// A strong entity tag: other bytes have another one, also where only the coding is another.
    pub tag: HeaderValue,
}

/// How long what was found stays right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// For good: the name has the version in it.
    Forever,
    /// Until somebody asks again.
    Now,
}

impl Assets {
    /// Reads and packs everything; takes some hundredths of a second.
    pub fn load() -> Self {
        let embedded = Embedded::iter().filter_map(|path| Embedded::get(&path).map(|file| (path, file)));
        let embedded: BTreeMap<_, _> = embedded.collect();
        let mut whole = Sha256::new();
        for (path, file) in &embedded {
            for part in [path.as_bytes(), &file.data] {
                whole.update(part.len().to_be_bytes());
                whole.update(part);
            }
        }
        let version = hexadecimal(&whole.finalize());
        let files = embedded.into_iter().map(|(path, file)| {
            let content = match file.data {
                data if path.ends_with(".html") => with_version(&data, &version),
                Cow::Borrowed(data) => Bytes::from_static(data),
                Cow::Owned(data) => Bytes::from(data),
            };
            (path.into_owned(), File::new(file.metadata.mimetype(), content))
        });
        Self { files: files.collect(), version }
    }

    /// What is at `/assets/{path}`, with the version or without. Whose page is of another version gets the file of this
    /// one: a page that was being loaded while the server was replaced.
    pub fn find(&self, path: &str) -> Option<(&File, Lifetime)> {
        let (path, lifetime) = match path.split_once('/') {
            Some((version, rest)) if version == self.version => (rest, Lifetime::Forever),
            Some((version, rest)) if is_version(version) => (rest, Lifetime::Now),
            _ => (path, Lifetime::Now),
        };
        Some((self.files.get(path)?, lifetime))
    }
}

impl File {
    fn new(media_type: &str, plain: Bytes) -> Self {
        let charset = if media_type.starts_with("text/") { "; charset=utf-8" } else { "" };
        let media_type = HeaderValue::try_from(format!("{media_type}{charset}"));
        let hash = hexadecimal(&Sha256::digest(&plain));
        let form = |coding, content, suffix| {
            let tag = HeaderValue::try_from(format!("\"{hash}{suffix}\""));
            Form { coding, content, tag: tag.expect("letters and digits in quotes are a header's value") }
        };
        let packed = gzip(&plain).filter(|packed| packed.len() < plain.len());
        let packed = packed.map(|packed| form(Coding::Gzip, packed, "-gzip"));
        let forms = packed.into_iter().chain([form(Coding::Identity, plain, "")]).collect();
        Self { media_type: media_type.unwrap_or(HeaderValue::from_static("application/octet-stream")), forms }
    }

    /// What is sent to a client with this `Accept-Encoding`, if it takes any of it.
    pub fn form(&self, accept: Option<&str>) -> Option<&Form> {
        let codings: Vec<Coding> = self.forms.iter().map(|form| form.coding).collect();
        let wanted = Coding::wanted(accept, &codings)?;
        self.forms.iter().find(|form| form.coding == wanted)
    }
}

/// The page with all files that it names under the version.
fn with_version(page: &[u8], version: &str) -> Bytes {
    String::from_utf8_lossy(page).replace(FOLDER, &format!("{FOLDER}{version}/")).into()
}

/// `None` is what cannot be: there is room in memory for these few bytes.
fn gzip(plain: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

fn is_version(text: &str) -> bool {
    text.len() == 2 * SHOWN && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn hexadecimal(hash: &[u8]) -> String {
    hash.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    fn text(file: &File) -> &str {
        str::from_utf8(&file.form(None).unwrap().content).unwrap()
    }

    #[test]
    fn only_a_name_with_the_version_is_for_good() {
        let assets = Assets::load();
        let lifetime = |path: &str| assets.find(path).map(|(_, lifetime)| lifetime);
        assert!(is_version(&assets.version));
        assert_eq!(lifetime(&format!("{}/vendor/adapter.js", assets.version)), Some(Lifetime::Forever));
        assert_eq!(lifetime("0123456789abcdef/vendor/adapter.js"), Some(Lifetime::Now));
        assert_eq!(lifetime("vendor/adapter.js"), Some(Lifetime::Now));
        assert_eq!(lifetime("0123456789abcde/base.css"), None);
        assert_eq!(lifetime(&format!("{}/none.js", assets.version)), None);
        assert_eq!(lifetime(&assets.version), None);
    }

    #[test]
    fn nothing_names_a_file_without_the_version() {
        let assets = Assets::load();
        let versioned = format!("/assets/{}/", assets.version);
        for (path, file) in &assets.files {
            let names = text(file).matches("/assets/").count();
            let expected = if path.ends_with(".html") { text(file).matches(&versioned).count() } else { 0 };
            assert_eq!(names, expected, "{path}");
            assert!(!path.ends_with(".html") || names > 0, "{path}");
        }
    }

    #[test]
    fn a_packed_file_is_the_same_file() {
        for (path, file) in &Assets::load().files {
            let packed = file.form(Some("gzip")).unwrap();
            let mut unpacked = String::new();
            GzDecoder::new(&*packed.content).read_to_string(&mut unpacked).unwrap();
            assert_eq!((packed.coding, unpacked.as_str()), (Coding::Gzip, text(file)), "{path}");
            assert_ne!(packed.tag, file.form(None).unwrap().tag, "{path}");
        }
    }

    #[test]
    fn what_does_not_shrink_is_not_packed() {
        let file = File::new("image/png", Bytes::from_static(b"\x89PNG"));
        assert_eq!(file.form(Some("gzip")).unwrap().coding, Coding::Identity);
        assert!(file.form(Some("gzip, identity;q=0")).is_none());
    }
}
