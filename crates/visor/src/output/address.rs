//! What is planned for an output: its address, which tells it from others and says which destination
//! it has, and its rotation.

use std::path::Path;

use visor_api::resolved::{self, Rotation};

use super::{
    Cancellation, Destination,
    file::{FileLocation, LogFile},
    standard_stream::StandardStream,
};

/// The output of a generator.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OutputPlan {
    /// `stdout`, `stderr`, or the file's path below the output directory.
    pub(crate) name: String,
    pub(crate) address: Address,
    pub(crate) rotation: Option<Rotation>,
}

impl OutputPlan {
    /// The plan of an output, below this directory if it is a file.
    pub(crate) fn new(output: &resolved::Output, directory: &Path) -> Self {
        let address = match output {
            resolved::Output::Stdout => Address::Stdout,
            resolved::Output::Stderr => Address::Stderr,
            resolved::Output::File { path, .. } => {
                Address::File(FileLocation::new(directory, path))
            }
        };
        let (name, rotation) = (output.name().to_owned(), output.rotation().cloned());
        Self { name, address, rotation }
    }

    /// The destination, which isn't opened yet. A write that finds no room waits until the
    /// `cancellation`.
    pub(crate) fn destination(&self, cancellation: &Cancellation) -> Box<dyn Destination> {
        let cancellation = cancellation.clone();
        match &self.address {
            Address::Stdout => Box::new(StandardStream::output(cancellation)),
            Address::Stderr => Box::new(StandardStream::error(cancellation)),
            Address::File(location) => {
                let rotation = self.rotation.clone();
                Box::new(LogFile::new(location.clone(), rotation, cancellation))
            }
        }
    }
}

/// Where records go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Address {
    /// The process's standard output.
    Stdout,
    /// The process's standard error.
    Stderr,
    /// A file below the output directory.
    File(FileLocation),
}
