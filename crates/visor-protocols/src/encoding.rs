//! Content encodings of bodies, with a limit for what is decompressed.

use std::io::{self, Read};

use flate2::read::{MultiGzDecoder, ZlibDecoder};

/// The maximum number of bytes of a body, compressed or not.
pub const MAX_BODY: usize = 32 << 20;
/// The window of compressed data: 8 MiB, the greatest that every decoder has to support (RFC 8878).
const WINDOW_LOG_MAX: u32 = 23;

/// Why a body can't be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Nothing here decodes it.
    #[error("the content encoding {0} is not supported; use gzip, deflate, zstd or snappy")]
    Unsupported(String),
    /// It has too many bytes.
    #[error("the decompressed body has more than {MAX_BODY} bytes")]
    TooLong,
    /// It is no such data.
    #[error("the body is not {encoding}: {error}")]
    Broken {
        /// The encoding.
        encoding: &'static str,
        /// What is wrong.
        error: io::Error,
    },
}

/// Undoes a content encoding; `None` if there is none.
///
/// # Errors
///
/// If that fails.
pub fn decode(encoding: &str, body: &[u8]) -> Result<Option<Vec<u8>>, DecodeError> {
    match encoding.trim() {
        // The body of Loki's push is always snappy, and its protocol decodes it.
        "" | "identity" | "snappy" => Ok(None),
        "gzip" | "x-gzip" => read("gzip", MultiGzDecoder::new(body)).map(Some),
        "deflate" => read("deflate", ZlibDecoder::new(body)).map(Some),
        "zstd" => zstd(body).map(Some),
        other => Err(DecodeError::Unsupported(other.chars().take(100).collect())),
    }
}

fn zstd(body: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let broken = |error| DecodeError::Broken { encoding: "zstd", error };
    let mut decoder = zstd::Decoder::with_buffer(body).map_err(broken)?;
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(broken)?;
    read("zstd", decoder)
}

/// Decompresses raw snappy, without frames.
///
/// # Errors
///
/// If that fails.
pub fn snappy(body: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let broken =
        |error: snap::Error| DecodeError::Broken { encoding: "snappy", error: error.into() };
    if snap::raw::decompress_len(body).map_err(broken)? > MAX_BODY {
        return Err(DecodeError::TooLong);
    }
    snap::raw::Decoder::new().decompress_vec(body).map_err(broken)
}

/// Reads what this decoder has, up to the limit.
pub(crate) fn read(encoding: &'static str, decoder: impl Read) -> Result<Vec<u8>, DecodeError> {
    let mut body = Vec::new();
    let read = decoder.take(MAX_BODY as u64 + 1).read_to_end(&mut body);
    read.map_err(|error| DecodeError::Broken { encoding, error })?;
    if body.len() > MAX_BODY { Err(DecodeError::TooLong) } else { Ok(body) }
}
