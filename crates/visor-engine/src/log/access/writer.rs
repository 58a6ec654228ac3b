//! Writes the lines of one stream.

use std::sync::Arc;

use super::request::{PerRequestField, Request};
use crate::{
    line::{LineFormat, NeededDraws},
    stamp::Stamp,
    text::Lines,
};

/// Writes the lines of one stream.
#[derive(Debug, Clone)]
pub struct LineWriter {
    /// Streams with the same format and model share it.
    format: Arc<LineFormat<PerRequestField>>,
    stamps: Box<[Stamp]>,
    malformed: Option<MalformedWriter>,
}

/// Writes the lines of malformed requests. There are few, so their stamps are created with the first.
#[derive(Debug, Clone)]
struct MalformedWriter {
    format: Arc<LineFormat<PerRequestField>>,
    stamps: Option<Box<[Stamp]>>,
}

impl LineWriter {
    /// Creates a writer for this format, and for that of malformed requests, if there are some.
    pub fn new(
        format: Arc<LineFormat<PerRequestField>>,
        malformed: Option<Arc<LineFormat<PerRequestField>>>,
    ) -> Self {
        let malformed = malformed.map(|format| MalformedWriter { format, stamps: None });
        Self { stamps: format.stamps.clone(), format, malformed }
    }

    /// Which draws the format needs.
    #[inline]
    pub fn needed(&self) -> NeededDraws {
        self.format.needed
    }

    /// Writes the line of a request, newline included.
    #[inline]
    pub fn write(&mut self, request: &Request<'_>, lines: &mut Lines) {
        if request.is_malformed
            && let Some(malformed) = &mut self.malformed
        {
            return malformed.write(request, lines);
        }
        self.format.columns.write(request, &mut self.stamps, lines);
    }
}

impl MalformedWriter {
    #[inline(never)]
    fn write(&mut self, request: &Request<'_>, lines: &mut Lines) {
        let format = &self.format;
        let stamps = self.stamps.get_or_insert_with(|| format.stamps.clone());
        format.columns.write(request, stamps, lines);
    }
}
