//! Plain lines, as in a file.

use memchr::{memchr_iter, memrchr};

use super::Framing;
use crate::{malformed::Malformed, records::Records};

/// Plain lines.
#[derive(Debug, Default)]
pub struct Lines;

impl Framing for Lines {
    fn name(&self) -> &'static str {
        "lines"
    }

    fn frames(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        Ok(memrchr(b'\n', bytes).map_or(0, |end| end + 1))
    }

    fn read(&mut self, frames: &[u8], records: &mut Records<'_>) -> Result<Vec<u8>, Malformed> {
        let mut start = 0;
        for end in memchr_iter(b'\n', frames).map(|end| end + 1).chain([frames.len()]) {
            if start < end {
                records.line(&frames[start..end]);
            }
            start = end;
        }
        Ok(Vec::new())
    }

    fn has_open_end(&self) -> bool {
        true
    }
}
