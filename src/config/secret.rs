//! A text that nobody may read in a log.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// A token or a password; empty where there is none. `Debug` hides it, so that it stays out of logs also where somebody
/// prints the whole configuration, and so do the messages about a value that is none.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde's own message would show the value.
        let text = String::deserialize(deserializer).map_err(|_| serde::de::Error::custom("is not a text"))?;
        Ok(Self(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "none" } else { "…" })
    }
}
