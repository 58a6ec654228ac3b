//! Asks what was emitted: the pages of generators, and their reports in files.

use std::{fmt, fs, io, str::FromStr};

use visor_proof::Emitted;

/// A place that says what was emitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(String);

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("https://") {
            return Err("generators have no pages over TLS; use http://".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Place {
    /// What was emitted; `None` if the generator that writes the file hasn't begun yet.
    ///
    /// # Errors
    ///
    /// What is wrong, as a sentence.
    pub(crate) async fn read(&self) -> Result<Option<Emitted>, String> {
        let Self(place) = self;
        let text = if place.starts_with("http://") {
            visor_http::get(place).await?
        } else {
            match fs::read(place) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Ok(text) if text.is_empty() => return Ok(None),
                read => read.map_err(|error| format!("cannot read {place}: {error}"))?,
            }
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| {
            format!(
                "{place} is no report: {error}; write one with --report, or name the page /emitted"
            )
        })
    }
}
