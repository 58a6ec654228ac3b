//! Lines of the logs of container runtimes: `TIME STREAM TAG TEXT` (CRI).

/// A record of a container's log, or a part of one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// 0 for standard output, 1 for standard error.
    pub(super) stream: usize,
    pub(super) text: &'a [u8],
    /// Whether the record ends here.
    pub(super) is_last: bool,
}

/// The part that a line has, if a container runtime has written it.
pub(super) fn line(line: &[u8]) -> Option<Part<'_>> {
    // Other lines are nearly always told apart by this.
    if line.get(10) != Some(&b'T') || !line[0].is_ascii_digit() {
        return None;
    }
    let mut fields = line.splitn(4, |byte| *byte == b' ');
    let (time, stream, tags, text) =
        (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let stream = stream_of(stream)?;
    let is_last = match tags.split(|byte| *byte == b':').next()? {
        b"F" => true,
        b"P" => false,
        _ => return None,
    };
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    (time.len() >= 20).then_some(Part { stream, text, is_last })
}

/// The number of a stream.
pub(super) fn stream_of(name: &[u8]) -> Option<usize> {
    match name {
        b"stdout" => Some(0),
        b"stderr" => Some(1),
        _ => None,
    }
}
