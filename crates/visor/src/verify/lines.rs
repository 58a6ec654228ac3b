//! The lines of an input, without copying them.

use std::io::{self, Read};

use memchr::memchr_iter;
use visor_proof::decode::MAX_RECORD;

/// How much is read at once.
const BUFFER: usize = 256 * 1024;

/// Calls `add` with each line, with its end. A longer line than a record may be is cut.
pub(super) fn for_each(read: &mut dyn Read, mut add: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    // The start of a line whose end isn't read yet.
    let mut length = 0;
    loop {
        let added = match read.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(added) => added,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let mut start = 0;
        for end in memchr_iter(b'\n', &buffer[length..length + added]) {
            let end = length + end + 1;
            add(&buffer[start..end]);
            start = end;
        }
        length += added;
        if length - start >= MAX_RECORD {
            add(&buffer[start..length]);
            start = length;
        }
        buffer.copy_within(start..length, 0);
        length -= start;
        if length == buffer.len() {
            buffer.resize((2 * length).min(MAX_RECORD), 0);
        }
    }
    if length > 0 {
        add(&buffer[..length]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that returns a few bytes at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = self.0.len().min(3).min(buffer.len());
            let (now, later) = self.0.split_at(length);
            buffer[..length].copy_from_slice(now);
            self.0 = later;
            Ok(length)
        }
    }

    fn lines(text: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for_each(&mut Slow(text), |line| lines.push(line.to_vec())).unwrap();
        lines
    }

    #[test]
    fn lines_are_whole_however_they_are_read() {
        assert_eq!(lines(b""), Vec::<Vec<u8>>::new());
        assert_eq!(lines(b"a"), [b"a"]);
        assert_eq!(lines(b"\na long line\n\nb"), [&b"\n"[..], b"a long line\n", b"\n", b"b"]);
        let long = [vec![b'x'; 3 * BUFFER], b"\nb\n".to_vec()].concat();
        assert_eq!(lines(&long), [&long[..=3 * BUFFER], b"b\n"]);
    }

    #[test]
    fn a_line_longer_than_a_record_is_cut() {
        let long = vec![b'x'; MAX_RECORD + 5];
        let lengths: Vec<usize> = lines(&long).iter().map(Vec::len).collect();
        assert_eq!(lengths.iter().sum::<usize>(), long.len());
        assert_eq!(lengths.len(), 2);
    }
}
