//! Destinations against real files, pipes and full disks, and what the tests share.

mod appending;
mod failing;
mod pipes;
mod properties;
mod rotating;

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

use super::{Cancellation, Destination, FileLocation, Records, WriteResult, file::LogFile};

/// A directory, and a log file in it that isn't there yet.
pub(super) fn log() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    (directory, path)
}

/// A file with this path.
pub(super) fn file(path: &Path, rotation: Option<Rotation>) -> LogFile {
    let location = FileLocation::new(path.parent().unwrap(), path.file_name().unwrap());
    LogFile::new(location, rotation, Cancellation::new().unwrap())
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
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_000_000_000 + seconds)
}

pub(super) fn by_size(bytes: u64) -> Rotation {
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
pub(super) fn lines(first: usize, count: usize) -> Vec<u8> {
    (first..first + count).flat_map(|number| format!("line {number:04}\n").into_bytes()).collect()
}

/// Writes lines.
pub(super) fn write_lines(
    destination: &mut impl Destination,
    lines: &[u8],
    now: Timestamp,
) -> WriteResult {
    let ends: Vec<usize> = (1..=lines.len()).filter(|end| lines[end - 1] == b'\n').collect();
    destination.write(Records::new(lines, &ends), now)
}

/// Writes lines that are to go in whole, and returns how many rotations that took.
pub(super) fn write(destination: &mut impl Destination, lines: &[u8], now: Timestamp) -> u32 {
    let WriteResult { bytes, rotations, error, rotation_error } =
        write_lines(destination, lines, now);
    assert!(error.is_none(), "{error:?}");
    assert!(rotation_error.is_none(), "{rotation_error:?}");
    assert_eq!(bytes, lines.len());
    rotations
}

/// The names in a directory, sorted.
pub(super) fn names(directory: &Path) -> Vec<String> {
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
