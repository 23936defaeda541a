//! The web client's files: types, validators, and nothing beside them.

use std::io::Read;

use flate2::read::GzDecoder;

use crate::program::Program;

const FOR_GOOD: &str = "public, max-age=31536000, immutable";

#[test]
fn pages_are_served_and_revalidated() {
    let program = Program::start(&[]);
    for path in ["/", "/r/demo", "/watch/demo", "/assets/index.html"] {
        let page = program.get(path);
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(page.header("cache-control"), Some("no-cache"));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert!(page.text().to_lowercase().contains("<!doctype html>"));
        let tag = page.header("etag").unwrap();
        let again = program.ask("GET", path, &[("if-none-match", tag)], b"");
        assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
        let head = program.ask("HEAD", path, &[], b"");
        assert_eq!((head.status.as_u16(), head.header("etag")), (200, Some(tag)));
    }
}

/// The address of this file as the page names it.
fn address_of(program: &Program, page: &str, file: &str) -> String {
    let page = program.get(page);
    let mut addresses = page.text().split('"').filter(|text| text.starts_with("/assets/"));
    addresses.find(|address| address.ends_with(file)).unwrap().to_owned()
}

#[test]
fn what_a_page_names_is_kept_for_good() {
    let program = Program::start(&[]);
    for (page, file) in [
        ("/", "/lobby-page.js"),
        ("/r/demo", "/room-page.js"),
        ("/r/demo", "/vendor/adapter.js"),
        ("/watch/demo", "/base.css"),
        ("/watch/demo", "/logo.svg"),
    ] {
        let address = address_of(&program, page, file);
        let named = program.get(&address);
        assert_eq!((named.status.as_u16(), named.header("cache-control")), (200, Some(FOR_GOOD)), "{address}");
        // By its own name it is the same, for those who keep that; and so it is under another version's.
        for other in [format!("/assets{file}"), format!("/assets/0123456789abcdef{file}")] {
            let other = program.get(&other);
            assert_eq!((other.header("etag"), &other.body), (named.header("etag"), &named.body));
            assert_eq!(other.header("cache-control"), Some("no-cache"));
        }
        program.get(&address.replace(file, "/none.js")).is_problem(404, "not-found");
    }
}

#[test]
fn what_is_sent_is_packed_as_the_client_wants_it() {
    let program = Program::start(&[]);
    for path in ["/", "/r/demo", "/assets/vendor/adapter.js", &address_of(&program, "/watch/demo", "/base.css")] {
        let get = |accept: &str| program.ask("GET", path, &[("accept-encoding", accept)], b"");
        let plain = get("identity");
        assert_eq!((plain.status.as_u16(), plain.header("content-encoding")), (200, None));
        for accept in ["gzip, deflate, br", "x-gzip", "*", "identity;q=0.4, gzip;q=0.5", "br;q=1, gzip;q=0.001"] {
            let packed = get(accept);
            assert_eq!(packed.header("content-encoding"), Some("gzip"), "{accept}");
            assert_eq!(packed.header("content-type"), plain.header("content-type"));
            let mut unpacked = Vec::new();
            GzDecoder::new(&*packed.body).read_to_end(&mut unpacked).unwrap();
            assert!(unpacked == plain.body && packed.body.len() < plain.body.len(), "{accept}");
            assert_ne!(packed.header("etag"), plain.header("etag"));
        }
        for accept in ["", "br", "gzip;q=0", "gzip;q=0.5, identity"] {
            assert_eq!(get(accept).header("content-encoding"), None, "{accept}");
        }
        for accept in ["identity;q=0", "*;q=0"] {
            get(accept).is_problem(406, "not-acceptable");
        }
        let tag = get("gzip").header("etag").unwrap().to_owned();
        let again = |accept: &str| {
            program.ask("GET", path, &[("accept-encoding", accept), ("if-none-match", &tag)], b"").status.as_u16()
        };
        assert_eq!((again("gzip"), again("identity")), (304, 200), "a tag is of one form");
        for answer in [plain, get("gzip"), get("*;q=0"), program.ask("GET", path, &[("if-none-match", "*")], b"")] {
            assert_eq!(answer.header("vary"), Some("Accept-Encoding"), "{answer:?}");
        }
    }
}

#[test]
fn other_paths_and_methods_are_refused() {
    let program = Program::start(&[]);
    program.get("/assets/none.js").is_problem(404, "not-found");
    program.get("/assets/%2e%2e/tessera.toml").is_problem(404, "not-found");
    program.get("/assets/..%2f..%2fCargo.toml").is_problem(404, "not-found");
    program.get("/r/a%20b").is_problem(400, "invalid-room-name");
    let post = program.ask("POST", "/", &[], b"");
    post.is_problem(405, "method-not-allowed");
    assert_eq!(post.header("allow"), Some("GET, HEAD, OPTIONS"));
}
