//! The web client's files: types, validators, and nothing beside them.

use crate::program::Program;

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
