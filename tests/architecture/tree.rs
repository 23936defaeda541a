//! The repository as the rules see it: paths and their text.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use crate::source::Source;

/// Neither built nor fetched things are ours.
const LEFT_OUT: [&str; 3] = ["target", "node_modules", "corpus"];

/// Files by their path from the repository's root, with `/` between. What is not text is there, and empty.
#[derive(Debug, Default)]
pub struct Tree {
    pub files: BTreeMap<String, String>,
}

impl Tree {
    /// # Errors
    /// What cannot be read.
    pub fn read(root: &Path) -> io::Result<Self> {
        let mut tree = Self::default();
        tree.add(root, "")?;
        Ok(tree)
    }

    fn add(&mut self, root: &Path, folder: &str) -> io::Result<()> {
        for entry in fs::read_dir(root.join(folder))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || LEFT_OUT.contains(&name.as_str()) {
                continue;
            }
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            if entry.file_type()?.is_dir() {
                self.add(root, &path)?;
            } else {
                self.files.insert(path, String::from_utf8(fs::read(entry.path())?).unwrap_or_default());
            }
        }
        Ok(())
    }

    /// The files below a folder (`src/`) whose names end like this.
    pub fn below(&self, folder: &str, ending: &str) -> impl Iterator<Item = (&str, &str)> {
        let wanted = move |path: &str| path.starts_with(folder) && path.ends_with(ending);
        self.files.iter().filter(move |(path, _)| wanted(path)).map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The product's own Rust files, tokenised. What cannot be tokenised is in `found`.
    pub fn sources(&self, found: &mut Vec<String>) -> Vec<(&str, Source)> {
        let mut sources = Vec::new();
        for (path, code) in
            self.below("src/", ".rs").filter(|(path, _)| !path.ends_with("/tests.rs") && !path.contains("/tests/"))
        {
            match Source::parse(code) {
                Ok(source) => sources.push((path, source)),
                Err(error) => found.push(format!("{path}: {error}")),
            }
        }
        sources
    }

    /// Whether there is such a file, or a folder with files in it.
    pub fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.files.contains_key(path) || self.files.keys().any(|file| file.starts_with(&folder))
    }
}
