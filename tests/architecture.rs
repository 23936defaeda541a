//! The rules of the code's shape that no lint knows: which module may use what, how long a file may be, that nothing in
//! `pipelines/` is an orphan. All that is wrong is reported at once.
//!
//! Each rule is a function from the repository to what it found, and has a test that shows it can fail.

#[path = "architecture/source.rs"]
mod source;
#[path = "architecture/tree.rs"]
mod tree;

use std::collections::BTreeSet;
use std::path::Path;

use tree::Tree;

/// What a module may use of the others; all may use leaves. The order is the one direction: main → server → room → peer
/// → media → leaves.
const MAY_USE: [(&str, &[&str]); 9] = [
    // Reads the configuration's file and the environment, which keeps `config` pure.
    ("settings", &[]),
    // Asks the system, which keeps `budget` pure.
    ("process", &[]),
    ("media", &[]),
    ("egress", &["media"]),
    ("peer", &["media"]),
    ("room", &["peer", "egress", "media", "process"]),
    // Knows no media: what it wants of rooms goes over the control boundary.
    ("server", &["room", "process"]),
    // Real participants over the public endpoints; of the server's insides they know nothing.
    ("bots", &["media"]),
    // A command that prints the templates.
    ("pipelines", &["media"]),
];

/// Files that put the others together, and so may use all of them.
const ROOTS: [&str; 4] = ["main", "lib", "cli", "pipelines"];

/// Leaves that have a folder; every other leaf is a file of its own in `src/`.
const LEAF_FOLDERS: [&str; 5] = ["config", "lips", "mix_minus", "playout", "probe"];

/// What leaves may use besides the standard library.
const LEAF_CRATES: [&str; 2] = ["serde", "thiserror"];

/// Leaves take time as a parameter.
const CLOCKS: [&str; 2] = ["Instant", "SystemTime"];

const LONGEST_FILE: usize = 500; // lines

/// Files that are longer than that, each with the reason why it should not be split.
const LONG_FILES: [(&str, &str); 1] =
    [("assets/web/vendor/adapter.js", "webrtc-adapter as its authors ship it; edited nowhere")];

type Rule = fn(&Tree, &mut Vec<String>);

const RULES: [Rule; 9] = [
    gstreamer_is_known_in_media_only,
    warp_is_known_in_server_only,
    leaves_are_pure,
    modules_depend_one_way,
    files_are_short,
    pipelines_are_owned,
    code_is_safe,
    panics_state_their_invariant,
    links_resolve,
];

#[test]
fn the_rules_hold() {
    let tree = Tree::read(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let found = check(&tree, &RULES);
    assert!(found.is_empty(), "{} rules' violations:\n  {}\n", found.len(), found.join("\n  "));
}

fn check(tree: &Tree, rules: &[Rule]) -> Vec<String> {
    let mut found = Vec::new();
    for rule in rules {
        rule(tree, &mut found);
    }
    let once: BTreeSet<String> = found.into_iter().collect();
    once.into_iter().collect()
}

/// The module that a file belongs to: `room` for `src/room.rs` and for all of `src/room/`.
fn module_of(path: &str) -> &str {
    let inside = path.trim_start_matches("src/");
    inside.split_once('/').map_or_else(|| inside.trim_end_matches(".rs"), |(folder, _)| folder)
}

/// How many modules below the crate's root a file's own module is.
fn depth_of(path: &str) -> usize {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    if ROOTS.contains(&inside) { 0 } else { inside.split('/').count() }
}

fn is_leaf(path: &str) -> bool {
    let module = module_of(path);
    let is_layer = MAY_USE.iter().any(|(layer, _)| *layer == module);
    let is_file = path == format!("src/{module}.rs");
    !is_layer && !ROOTS.contains(&module) && (is_file || LEAF_FOLDERS.contains(&module))
}

fn gstreamer_is_known_in_media_only(tree: &Tree, found: &mut Vec<String>) {
    let is_gstreamer = |word: &str| word == "gst" || word.starts_with("gst_") || word.starts_with("gstreamer");
    for (path, source) in tree.sources(found) {
        if matches!(module_of(path), "media" | "egress") {
            continue;
        }
        for (word, line) in source.words().filter(|(word, _)| is_gstreamer(word)) {
            found.push(format!("{path}:{line}: {word}: GStreamer is known in src/media/ and src/egress/ only"));
        }
    }
}

fn warp_is_known_in_server_only(tree: &Tree, found: &mut Vec<String>) {
    for (path, source) in tree.sources(found) {
        for (_, line) in source.words().filter(|(word, _)| *word == "warp" && module_of(path) != "server") {
            found.push(format!("{path}:{line}: warp is known in src/server/ only"));
        }
    }
}

fn leaves_are_pure(tree: &Tree, found: &mut Vec<String>) {
    let crates = dependencies(tree);
    for (path, source) in tree.sources(found).into_iter().filter(|(path, _)| is_leaf(path)) {
        for (root, line) in source.roots() {
            if crates.contains(root) && !LEAF_CRATES.contains(&root) {
                found.push(format!("{path}:{line}: {root}: a leaf uses only std, {}", LEAF_CRATES.join(", ")));
            }
        }
        for (word, line) in source.words().filter(|(word, _)| CLOCKS.contains(word)) {
            found.push(format!("{path}:{line}: {word}: a leaf has no clock; time is a parameter"));
        }
    }
}

/// The crates in `Cargo.toml`, as code writes their names.
fn dependencies(tree: &Tree) -> BTreeSet<String> {
    let manifest = tree.files.get("Cargo.toml").map_or("", String::as_str);
    let manifest: toml::Table = toml::from_str(manifest).expect("cargo has read the same file");
    let names = manifest.get("dependencies").and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::keys);
    names.map(|name| name.replace('-', "_")).collect()
}

fn modules_depend_one_way(tree: &Tree, found: &mut Vec<String>) {
    let modules: BTreeSet<&str> = tree.below("src/", ".rs").map(|(path, _)| module_of(path)).collect();
    for (path, source) in tree.sources(found) {
        let module = module_of(path);
        if ROOTS.contains(&module) {
            continue;
        }
        let layer = MAY_USE.iter().find(|(layer, _)| *layer == module).map(|(_, may_use)| *may_use);
        if layer.is_none() && !is_leaf(path) {
            found.push(format!("{path}: module {module} has no place in tests/architecture.rs"));
        }
        for (used, line) in source.modules(depth_of(path)).into_iter().filter(|(used, _)| modules.contains(used)) {
            let is_layer = MAY_USE.iter().any(|(layer, _)| *layer == used) || ROOTS.contains(&used);
            let allowed = layer.unwrap_or_default();
            if used != module && is_layer && !allowed.contains(&used) {
                let allowed = if allowed.is_empty() { String::new() } else { format!("{} and ", allowed.join(", ")) };
                found.push(format!("{path}:{line}: {module} uses {used}; it may use {allowed}leaves"));
            }
        }
    }
}

fn files_are_short(tree: &Tree, found: &mut Vec<String>) {
    let rust = ["src/", "tests/", "benches/"].into_iter().flat_map(|folder| tree.below(folder, ".rs"));
    let scripts = ["assets/", "tests/"].into_iter().flat_map(|folder| tree.below(folder, "js"));
    for (path, text) in rust.chain(scripts) {
        let lines = text.lines().count();
        if lines > LONGEST_FILE && !LONG_FILES.iter().any(|(long, _)| *long == path) {
            found.push(format!("{path}: {lines} lines; split it, or give a reason in tests/architecture.rs"));
        }
    }
    for (path, _) in LONG_FILES {
        if tree.files.get(path).is_some_and(|text| text.lines().count() <= LONGEST_FILE) {
            found.push(format!("{path}: is not longer than {LONGEST_FILE} lines; take it off the list of long files"));
        }
    }
}

fn pipelines_are_owned(tree: &Tree, found: &mut Vec<String>) {
    const README: &str = "pipelines/README.md";
    let readme = tree.files.get(README).map_or("", String::as_str);
    let sources = tree.sources(found);
    for (path, text) in tree.below("pipelines/", "").filter(|(path, _)| *path != README) {
        let name = path.trim_start_matches("pipelines/");
        let row = readme.lines().find(|line| line.starts_with(&format!("| `{name}` |"))).unwrap_or_default();
        if row.is_empty() {
            found.push(format!("{path}: {README} has no row for `{name}`"));
        }
        for part in parts_of(text).filter(|part| !row.is_empty() && !row.contains(&format!("`{part}`"))) {
            found.push(format!("{path}: its row in {README} does not name `{part}`"));
        }
        let owned = sources.iter().any(|(_, source)| source.texts().any(|text| text.ends_with(name)));
        if !owned {
            found.push(format!("{path}: nothing in src/ embeds it"));
        }
    }
}

/// The values and the named elements of a template.
fn parts_of(template: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let graph = template.lines().filter(|line| !line.starts_with('#'));
    graph.flat_map(str::split_whitespace).flat_map(move |word| {
        let values = word.split("${").skip(1);
        let name = word.strip_prefix("name=").filter(|name| !name.starts_with("${"));
        values.chain(name).map(move |part| part.split(|c| !is_part(c)).next().unwrap_or(part))
    })
}

fn code_is_safe(tree: &Tree, found: &mut Vec<String>) {
    for (path, source) in tree.sources(found) {
        for (_, line) in source.words().filter(|(word, _)| *word == "unsafe") {
            found.push(format!("{path}:{line}: unsafe code"));
        }
    }
}

fn panics_state_their_invariant(tree: &Tree, found: &mut Vec<String>) {
    for (path, source) in tree.sources(found) {
        for (name, line, text) in source.calls() {
            match (name, text) {
                ("unwrap" | "unwrap_err", _) => {
                    found.push(format!("{path}:{line}: {name}: handle it, or expect(\"why this holds\")"));
                }
                ("expect" | "expect_err", Some(why)) if why.split_whitespace().count() < 2 => {
                    found.push(format!("{path}:{line}: {name}(\"{why}\") does not say why this holds"));
                }
                _ => {}
            }
        }
    }
}

fn links_resolve(tree: &Tree, found: &mut Vec<String>) {
    for (path, text) in tree.below("", ".md") {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (number, line) in text.lines().enumerate() {
            for target in links(line).filter(|target| !target.contains(':') && !target.starts_with('#')) {
                let file = target.split_once('#').map_or(target, |(file, _)| file);
                if !tree.has(&resolve(folder, file)) {
                    found.push(format!("{path}:{}: there is no {target}", number + 1));
                }
            }
        }
    }
}

/// The targets of a line's Markdown links.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

/// A relative path as seen from the repository's root.
fn resolve(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Every rule on a snippet that breaks it, beside one that does not.
mod each_rule_can_fail {
    use super::*;

    fn found(rule: Rule, files: &[(&str, &str)]) -> Vec<String> {
        let mut tree = Tree::default();
        tree.files.extend(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())));
        check(&tree, &[rule])
    }

    fn assert_finds(rule: Rule, files: &[(&str, &str)], wanted: &[&str]) {
        let found = found(rule, files);
        let same = found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, part)| found.starts_with(part));
        assert!(same, "found {found:#?}, wanted {wanted:#?}");
    }

    #[test]
    fn gstreamer() {
        let code = "use gstreamer as gst;\n// gstreamer\n#[cfg(test)] mod tests { use gstreamer; }";
        assert_finds(
            gstreamer_is_known_in_media_only,
            &[("src/media/bus.rs", code), ("src/egress/hls.rs", code), ("src/peer/mod.rs", code)],
            &["src/peer/mod.rs:1: gst:", "src/peer/mod.rs:1: gstreamer:"],
        );
        assert_finds(
            gstreamer_is_known_in_media_only,
            &[("src/main.rs", "fn main() { gst_video::x() }")],
            &["src/main.rs:1: gst_video:"],
        );
    }

    #[test]
    fn warp() {
        let code = "use warp::Filter;";
        assert_finds(
            warp_is_known_in_server_only,
            &[("src/server/whip.rs", code), ("src/main.rs", code)],
            &["src/main.rs:1:"],
        );
    }

    #[test]
    fn leaves() {
        let manifest = ("Cargo.toml", "[dependencies]\ntokio = '1'\nserde = '1'\nfutures-util = '1'");
        let bad = "use std::fmt;\nuse serde::Serialize;\nuse tokio::sync;\nfn x() { futures_util::x() }";
        assert_finds(
            leaves_are_pure,
            &[manifest, ("src/id.rs", bad), ("src/probe/tone.rs", bad), ("src/room/mod.rs", bad), ("src/main.rs", bad)],
            &["src/id.rs:3: tokio", "src/id.rs:4: futures_util", "src/probe/tone.rs:3:", "src/probe/tone.rs:4:"],
        );
        assert_finds(
            leaves_are_pure,
            &[manifest, ("src/ladder.rs", "use std::time::{Duration, Instant};")],
            &["src/ladder.rs:1: Instant"],
        );
    }

    #[test]
    fn direction() {
        let peer = ("src/peer/mod.rs", "use crate::media::Bus;\nuse crate::{id::PeerId, room::Event};");
        let room = ("src/room/mod.rs", "use crate::peer; use super::id; fn x() { super::server::x() }");
        let media = ("src/media/a/b.rs", "use super::super::super::room; use super::super::c; use crate::media::d;");
        let id = ("src/id.rs", "use crate::control; use crate::media;");
        let bots = ("src/bots/mod.rs", "use crate::server;");
        let others = [("src/server/mod.rs", "use crate::room; use crate::media;"), ("src/control.rs", "")];
        let roots = [("src/main.rs", "use crate::server;"), ("src/lib.rs", ""), ("src/misc/mod.rs", "")];
        let mut files = vec![peer, room, media, id, bots];
        files.extend(others.into_iter().chain(roots));
        assert_finds(
            modules_depend_one_way,
            &files,
            &[
                "src/bots/mod.rs:1: bots uses server",
                "src/id.rs:1: id uses media; it may use leaves",
                "src/media/a/b.rs:1: media uses room",
                "src/misc/mod.rs: module misc has no place",
                "src/peer/mod.rs:2: peer uses room; it may use media and leaves",
                "src/room/mod.rs:1: room uses server",
                "src/server/mod.rs:1: server uses media",
            ],
        );
    }

    #[test]
    fn length() {
        let (long, short) = ("x\n".repeat(LONGEST_FILE + 1), "x\n".repeat(LONGEST_FILE));
        assert_finds(
            files_are_short,
            &[("assets/web/a.js", &long), ("src/a.rs", &long), ("src/b.rs", &short), ("tests/c/d.mjs", &long)],
            &["assets/web/a.js:", "src/a.rs:", "tests/c/d.mjs:"],
        );
    }

    #[test]
    fn pipelines() {
        let owner =
            ("src/media/template.rs", r#"const PEER: &str = include_str!("../../pipelines/peer.gst"); // mix.gst"#);
        let readme = ("pipelines/README.md", "| `peer.gst` | `latency` | `rtc` |\n| `mix.gst` | – |");
        let peer =
            ("pipelines/peer.gst", "# name=x\nwebrtcbin name=rtc latency=${latency} !\nqueue name=in size=${size}");
        assert_finds(
            pipelines_are_owned,
            &[owner, readme, peer, ("pipelines/mix.gst", ""), ("pipelines/old.gst", "")],
            &[
                "pipelines/mix.gst: nothing",
                "pipelines/old.gst: nothing",
                "pipelines/old.gst: pipelines/README.md has",
                "pipelines/peer.gst: its row in pipelines/README.md does not name `in`",
                "pipelines/peer.gst: its row in pipelines/README.md does not name `size`",
            ],
        );
    }

    #[test]
    fn safety() {
        assert_finds(
            code_is_safe,
            &[("src/a.rs", "#![forbid(unsafe_code)]\nfn x() { unsafe { y() } }")],
            &["src/a.rs:2:"],
        );
        assert_finds(code_is_safe, &[("src/a.rs", "fn x( {")], &["src/a.rs: is no Rust"]);
    }

    #[test]
    fn panics() {
        let code = "fn x() {\na.unwrap();\na.expect(\"\");\na.expect(\"never\");\na.expect(\"a mutex here is never poisoned\");\na.unwrap_or(1);\n}";
        assert_finds(
            panics_state_their_invariant,
            &[("src/a.rs", code), ("tests/b.rs", code)],
            &["src/a.rs:2:", "src/a.rs:3:", "src/a.rs:4:"],
        );
    }

    #[test]
    fn documents() {
        let text = "[a](src/a.rs) [b](https://x.y) [c](#here)\n[d](src/d.rs#there) ![e](assets/) [f](assets/f.png)";
        let files = [
            ("src/a.rs", ""),
            ("assets/logo.svg", ""),
            ("README.md", text),
            ("tests/README.md", "[x](../src/a.rs) [y](../z)"),
        ];
        assert_finds(
            links_resolve,
            &files,
            &["README.md:2: there is no assets/f.png", "README.md:2: there is no src/d.rs", "tests/README.md:1:"],
        );
    }
}
