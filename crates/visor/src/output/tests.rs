//! The sink against real files, pipes and full disks, and what the tests share.

mod appending;
mod failing;
mod hostile;
mod properties;
mod rotating;
mod streams;

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::Command,
};

use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use visor_api::{
    quantity::{Duration, Size},
    resolved::Rotation,
    source::{Compression, RotationMethod},
};

use super::{Cancellation, Destination, FileLocation, OutputWriter, WriteResult};

/// A directory, and a log file in it that isn't there yet.
fn log() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    (directory, path)
}

fn destination(path: &Path) -> Destination {
    Destination::File(FileLocation::new(path.parent().unwrap(), path.file_name().unwrap()))
}

fn writer(path: &Path, rotation: Option<Rotation>) -> OutputWriter {
    OutputWriter::new(destination(path), rotation, Cancellation::new().unwrap())
}

/// Creates an obstacle of another owner, without a free name for renaming it.
fn put_in_the_way(path: &Path) {
    fs::create_dir(path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    for number in 0..100 {
        let number = if number == 0 { String::new() } else { format!(".{number}") };
        fs::create_dir(path.with_file_name(format!("{name}.aside{number}"))).unwrap();
    }
}

/// A time, in seconds after one that is long past (as in a simulated run).
fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_000_000_000 + seconds)
}

fn by_size(bytes: u64) -> Rotation {
    Rotation {
        max_size: Some(Size::from_bytes(bytes)),
        max_age: None,
        keep: 5,
        method: RotationMethod::Rename,
        compress: Compression::None,
        delay_compress: false,
    }
}

fn by_age(seconds: u64) -> Rotation {
    Rotation { max_size: None, max_age: Some(Duration::from_secs(seconds)), ..by_size(0) }
}

/// Lines numbered from `first`, of ten bytes each.
fn lines(first: usize, count: usize) -> Vec<u8> {
    (first..first + count).flat_map(|number| format!("line {number:04}\n").into_bytes()).collect()
}

/// Writes a batch that is to go in whole, and returns how many rotations that took.
fn write(writer: &mut OutputWriter, batch: &[u8], now: Timestamp) -> u32 {
    let WriteResult { bytes, rotations, error, rotation_error } = writer.write(batch, now);
    assert!(error.is_none(), "{error:?}");
    assert!(rotation_error.is_none(), "{rotation_error:?}");
    assert_eq!(bytes, batch.len());
    rotations
}

/// The names in a directory, sorted.
fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The content of one generation, plain or compressed; `None` if there is none.
fn generation(path: &Path, number: usize) -> Option<Vec<u8>> {
    let plain = fs::read(format!("{}.{number}", path.display())).ok();
    let compressed = fs::File::open(format!("{}.{number}.gz", path.display())).ok().map(|file| {
        let mut content = Vec::new();
        flate2::read::GzDecoder::new(file).read_to_end(&mut content).unwrap();
        content
    });
    assert!(plain.is_none() || compressed.is_none(), "generation {number} is there twice");
    plain.or(compressed)
}

/// All files, the oldest first, end to end.
fn history(path: &Path) -> Vec<u8> {
    let mut generations: Vec<Vec<u8>> =
        (1..).map_while(|number| generation(path, number)).collect();
    generations.reverse();
    generations.push(fs::read(path).unwrap_or_default());
    generations.concat()
}

/// A small file system of its own, gone when dropped.
struct Disk(TempDir);

impl Disk {
    /// Mounts one; `None`, with a word about it, where mounting is not permitted, which is a failure
    /// in continuous integration.
    fn mount(options: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(directory.path())
            .output()
            .is_ok_and(|output| output.status.success());
        if mounted {
            Some(Self(directory))
        } else {
            let what = "mounting a tmpfs is not permitted here, and this test needs one";
            assert!(std::env::var_os("CI").is_none(), "{what}");
            eprintln!("skipped: {what}");
            None
        }
    }

    fn log(&self) -> PathBuf {
        self.0.path().join("access.log")
    }

    /// Fills all but `free` bytes with a file of its own, which is returned.
    fn fill(&self, size: usize, free: usize) -> PathBuf {
        let path = self.0.path().join("filler");
        fs::write(&path, vec![0; size - free]).unwrap();
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // An error is ignored: a panic here would hide that of the test.
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}
