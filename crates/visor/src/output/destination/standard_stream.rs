//! Standard output and standard error, whatever they are connected to. It touches a descriptor of
//! its own.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd},
};

use jiff::Timestamp;

use super::{CloseResult, Destination, WriteResult, descriptor::Descriptor};
use crate::output::{Cancellation, OutputError, Records};

/// A standard stream of the process.
pub(super) struct StandardStream {
    name: &'static str,
    /// Duplicates the descriptor, because the standard library's buffers lines, and would split
    /// records anywhere.
    duplicate: fn() -> io::Result<File>,
    descriptor: Option<Descriptor>,
    cancellation: Cancellation,
}

impl StandardStream {
    pub(super) fn output(cancellation: Cancellation) -> Self {
        let duplicate = || duplicate(io::stdout().as_fd());
        Self { name: "standard output", duplicate, descriptor: None, cancellation }
    }

    pub(super) fn error(cancellation: Cancellation) -> Self {
        let duplicate = || duplicate(io::stderr().as_fd());
        Self { name: "standard error", duplicate, descriptor: None, cancellation }
    }

    fn open(&mut self, now: Timestamp) -> Result<&mut Descriptor, OutputError> {
        match &mut self.descriptor {
            Some(descriptor) => Ok(descriptor),
            closed => {
                let opened = (self.duplicate)().and_then(|file| Descriptor::new(file, now));
                Ok(closed.insert(opened.map_err(OutputError::at("open", self.name))?))
            }
        }
    }

    /// As if standard output were this descriptor.
    #[cfg(test)]
    pub(super) fn connected_to(descriptor: Descriptor, cancellation: Cancellation) -> Self {
        Self { descriptor: Some(descriptor), ..Self::output(cancellation) }
    }
}

fn duplicate(stream: BorrowedFd<'_>) -> io::Result<File> {
    Ok(File::from(stream.try_clone_to_owned()?))
}

impl Destination for StandardStream {
    fn write(&mut self, records: Records<'_>, now: Timestamp) -> WriteResult {
        let mut result = WriteResult::default();
        let location = self.name.to_owned();
        let cancellation = self.cancellation.clone();
        let descriptor = match self.open(now) {
            Ok(descriptor) => descriptor,
            Err(error) => return WriteResult { error: Some(error), ..result },
        };
        result.error = match descriptor.append(records, now, &cancellation, &mut result.bytes) {
            Ok(true) => None,
            Ok(false) => Some(OutputError::Canceled { location }),
            // No other reader can follow.
            Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => {
                Some(OutputError::ReaderGone { location })
            }
            Err(cause) => Some(OutputError::at("write to", location)(cause)),
        };
        result
    }

    fn close(&mut self) -> Result<CloseResult, OutputError> {
        let Some(mut descriptor) = self.descriptor.take() else {
            return Ok(CloseResult::default());
        };
        descriptor.finish().map_err(OutputError::at("remove an incomplete line from", self.name))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_standard_streams_open() {
        let cancellation = Cancellation::new().unwrap();
        for (mut stream, descriptor) in [
            (StandardStream::output(cancellation.clone()), 1),
            (StandardStream::error(cancellation), 2),
        ] {
            let opened = stream.open(Timestamp::UNIX_EPOCH).unwrap();
            let metadata = fs::metadata(format!("/proc/self/fd/{descriptor}")).unwrap();
            assert_eq!(opened.is_regular(), metadata.is_file(), "{}", stream.name);
        }
    }
}
