//! A directory that others may write to: their files and links are neither followed nor written to,
//! and no line is lost.

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixListener},
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use tempfile::TempDir;
use visor_api::source::{Compression, RotationMethod};

use super::{
    compress::Compressor,
    directory::{Directory, FileId, RotatedFile},
    names::Names,
    *,
};
use crate::output::destination::tests::{at, by_size, file, lines, log, names, write, write_lines};

const METHODS: [RotationMethod; 2] = [RotationMethod::Rename, RotationMethod::CopyTruncate];

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
}

/// A directory with a file next to it that isn't ours.
fn with_victim() -> (TempDir, PathBuf, PathBuf) {
    let (directory, _) = log();
    let logs = directory.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let victim = directory.path().join("victim");
    fs::write(&victim, "theirs").unwrap();
    (directory, logs.join("access.log"), victim)
}

fn is_untouched(victim: &Path) -> bool {
    fs::read(victim).unwrap() == b"theirs"
}

/// What replaces a file, given its path and a file of another user.
const PUT: [fn(&Path, &Path); 5] = [
    |location, victim| symlink(victim, location).unwrap(),
    |location, _| symlink("nowhere", location).unwrap(),
    |location, _| fs::create_dir_all(location.join("not/empty")).unwrap(),
    |location, _| fifo(location),
    |location, _| drop(UnixListener::bind(location).unwrap()),
];

#[test]
fn what_has_the_name_of_a_rotated_file_is_set_aside_or_removed_and_never_followed() {
    let beside =
        [".access.log.partial", "access.log.1", "access.log.2", "access.log.1.gz", "access.log.3"];
    for method in METHODS {
        for name in beside {
            for put in PUT {
                for compress in [Compression::None, Compression::Gzip] {
                    let (_directory, path, victim) = with_victim();
                    put(&path.with_file_name(name), &victim);
                    let rule = Rotation { method, compress, keep: 3, ..by_size(20) };
                    let mut log_file = file(&path, Some(rule));
                    assert_eq!(write(&mut log_file, &lines(0, 8), at(0)), 3, "{method:?} {name}");
                    log_file.close().unwrap();
                    assert!(is_untouched(&victim), "{method:?} {name}");
                    let plain = fs::read(&path).unwrap();
                    assert_eq!(plain, lines(6, 2), "{method:?} {name}");
                    let rotated = ["access.log.1", "access.log.1.gz"]
                        .map(|name| path.with_file_name(name))
                        .map(|path| fs::symlink_metadata(path).is_ok_and(|found| found.is_file()));
                    assert!(rotated[0] || rotated[1], "{method:?} {name}");
                }
            }
        }
    }
}

#[test]
fn an_obstacle_with_the_name_of_the_log_is_an_error() {
    for (number, put) in PUT.into_iter().enumerate() {
        let (_directory, path, victim) = with_victim();
        put(&path, &victim);
        let mut log_file = file(&path, Some(by_size(20)));
        let result = write_lines(&mut log_file, &lines(0, 1), at(0));
        assert_eq!(result.bytes, 0);
        let error = result.error.unwrap();
        // A pipe waits for its reader, as it should.
        assert_eq!(matches!(error, OutputError::Disconnected { .. }), number == 3, "{error}");
        assert!(error.to_string().contains("access.log"), "{error}");
        assert!(number > 1 || error.to_string().contains("symbolic link"), "{error}");
        assert!(is_untouched(&victim));
    }
}

#[test]
fn a_link_among_the_directories_below_the_output_directory_is_not_followed() {
    let (directory, _) = log();
    let elsewhere = directory.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let logs = directory.path().join("logs");
    fs::create_dir(&logs).unwrap();
    symlink(&elsewhere, logs.join("shop")).unwrap();
    // The output directory itself may be one: whoever starts the program chooses it.
    symlink(&logs, directory.path().join("link")).unwrap();
    let of = |below: &str| {
        let location = FileLocation::new(&directory.path().join("link"), below);
        LogFile::new(location, None, Cancellation::new().unwrap())
    };
    let result = write_lines(&mut of("shop/access.log"), &lines(0, 1), at(0));
    assert!(result.error.unwrap().to_string().contains("symbolic link"));
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    let result = write_lines(&mut of("a/b/access.log"), &lines(0, 1), at(0));
    assert!(result.error.is_none());
    assert_eq!(fs::read(logs.join("a/b/access.log")).unwrap(), lines(0, 1));
}

/// Whether this user may create devices, as root may in most containers.
#[test]
fn a_device_in_place_of_a_log_holds_up_nothing() {
    let devices =
        [(FileType::BlockDevice, makedev(7, 200)), (FileType::CharacterDevice, makedev(1, 7))];
    for (kind, device) in devices {
        let (_directory, path) = log();
        if mknodat(CWD, &path, kind, Mode::from_raw_mode(0o666), device).is_err() {
            println!("left out: no device can be made here; run this as root");
            return;
        }
        let result = write_lines(&mut file(&path, Some(by_size(20))), &lines(0, 1), at(0));
        // The other one is /dev/full, or may not be opened here.
        assert!(result.error.is_some() && result.bytes == 0, "{kind:?}");
    }
}

#[test]
fn a_replaced_log_is_recreated_and_the_replacement_is_not_followed() {
    for method in METHODS {
        let (_directory, path, victim) = with_victim();
        let mut log_file = file(&path, Some(Rotation { method, ..by_size(20) }));
        write(&mut log_file, &lines(0, 2), at(0));
        fs::remove_file(&path).unwrap();
        symlink(&victim, &path).unwrap();
        let result = write_lines(&mut log_file, &lines(2, 1), at(5));
        // It goes into the file that was open.
        assert!(result.rotation_error.unwrap().to_string().contains("symbolic link"));
        assert_eq!(result.bytes, 10);
        assert!(is_untouched(&victim));
        fs::remove_file(&path).unwrap();
        assert_eq!(write(&mut log_file, &lines(3, 1), at(10)), 0);
        assert_eq!(fs::read(&path).unwrap(), lines(3, 1));
    }
}

/// `truncate -s 1T`: it takes no room, and would take hours to copy or to compress.
#[test]
fn a_log_that_is_made_longer_is_neither_copied_nor_compressed() {
    const LONG: u64 = 1 << 40;
    for method in METHODS {
        let (directory, path) = log();
        let rule = Rotation { method, compress: Compression::Gzip, ..by_size(100) };
        let mut log_file = file(&path, Some(rule));
        write(&mut log_file, &lines(0, 2), at(0));
        fs::File::options().write(true).open(&path).unwrap().set_len(LONG).unwrap();
        assert_eq!(write(&mut log_file, &lines(2, 20), at(1)), 2);
        log_file.close().unwrap();
        let names = names(directory.path());
        let long =
            |name: &&String| fs::metadata(directory.path().join(name)).unwrap().len() >= LONG;
        assert_eq!(names.iter().filter(long).count(), 1, "{names:?}");
    }
}

#[test]
fn a_log_with_an_extended_end_is_replaced_when_it_is_opened() {
    for method in METHODS {
        let (_directory, path) = log();
        fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let mut log_file = file(&path, Some(Rotation { method, ..by_size(100) }));
        assert_eq!(write(&mut log_file, &lines(0, 2), at(0)), 1);
        assert_eq!(fs::read(&path).unwrap(), lines(0, 2));
    }
}

/// On some systems, users may create hard links to files of other users.
#[test]
fn a_hard_link_to_a_file_of_another_user_is_not_written_to() {
    let (_directory, path, victim) = with_victim();
    if std::os::unix::fs::chown(&victim, Some(12345), None).is_err() {
        println!("skipped: it needs root to create a file of another user; run this as root");
        return;
    }
    fs::hard_link(&victim, &path).unwrap();
    let result = write_lines(&mut file(&path, Some(by_size(20))), &lines(0, 1), at(0));
    let error = result.error.unwrap().to_string();
    assert!(error.contains("a file of another user"), "{error}");
    assert!(is_untouched(&victim));
    // A log that another user has created, for example in an image, has only one link.
    fs::remove_file(&victim).unwrap();
    assert!(write_lines(&mut file(&path, None), &lines(0, 1), at(0)).error.is_none());
}

/// The compressed file is the rotated one: the result is readable by everybody.
#[test]
fn a_rotated_file_that_is_replaced_is_not_compressed() {
    let (_directory, path, victim) = with_victim();
    let rule = Rotation { compress: Compression::Gzip, ..by_size(20) };
    let location = FileLocation::new(path.parent().unwrap(), path.file_name().unwrap());
    let directory = Directory::of(&location).unwrap();
    let names = Names::new(location.name());
    let ours = FileId::of(&directory.create(&names.plain(1)).unwrap()).unwrap();
    fs::remove_file(path.with_file_name("access.log.1")).unwrap();
    fs::hard_link(&victim, path.with_file_name("access.log.1")).unwrap();
    let mut compressor = Compressor::default();
    compressor.start(&directory, &names, 1, RotatedFile { id: ours, size: 100 });
    compressor.wait();
    assert!(!path.with_file_name("access.log.1.gz").exists());
    assert!(is_untouched(&victim) && is_untouched(&path.with_file_name("access.log.1")));
    assert_eq!(write(&mut file(&path, Some(rule)), &lines(0, 4), at(0)), 1);
}
