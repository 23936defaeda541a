//! The fuzz targets hold for the inputs that are kept, and for every real offer.

use std::fs;
use std::path::{Path, PathBuf};

#[path = "../fuzz/src/lib.rs"]
mod targets;

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn every_kept_input_passes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, target) in targets::TARGETS {
        let kept = files(&root.join("fuzz/corpus").join(name));
        assert!(!kept.is_empty(), "{name} has no inputs");
        kept.iter().for_each(|path| target(&fs::read(path).unwrap()));
        assert!(root.join(format!("fuzz/fuzz_targets/{name}.rs")).exists(), "{name} is not fuzzed");
    }
    files(&root.join("tests/sdp")).iter().for_each(|path| targets::sdp_offer(&fs::read(path).unwrap()));
}
