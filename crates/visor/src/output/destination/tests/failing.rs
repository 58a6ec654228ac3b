//! Full disks, directories that can't be written to, and rotations that fail.

use super::*;
use crate::output::OutputError;

const KIB: usize = 1024;

/// Lines of a length that no block is a multiple of, so that a full disk tears one.
fn awkward(first: usize, count: usize) -> Vec<u8> {
    (first..first + count)
        .flat_map(|number| format!("{number:0>6} {}\n", "x".repeat(93)).into_bytes())
        .collect()
}

fn truncate(path: &Path, size: usize) {
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(size as u64).unwrap();
}

#[test]
fn an_error_has_its_path_and_ends_with_its_cause() {
    let (directory, _) = log();
    let obstacle = directory.path().join("logs");
    fs::write(&obstacle, "a file").unwrap();
    let path = obstacle.join("access.log");
    let mut log_file = file(&path, None);

    let result = write_lines(&mut log_file, &lines(0, 2), at(0));
    assert_eq!(result.bytes, 0);
    let error = result.error.unwrap();
    assert!(matches!(error, OutputError::Failed { .. }));
    let message = error.to_string();
    for part in ["cannot create the directory", obstacle.to_str().unwrap(), "not a directory"] {
        assert!(message.contains(part), "{message}");
    }

    fs::remove_file(&obstacle).unwrap();
    write(&mut log_file, &lines(0, 2), at(0));
    assert_eq!(fs::read(&path).unwrap(), lines(0, 2));
}

#[test]
fn a_read_only_directory_is_an_error() {
    let Some(disk) = Disk::mount("size=64k,ro") else { return };
    let result = write_lines(&mut file(&disk.log(), Some(by_size(100))), &lines(0, 1), at(0));
    assert_eq!(result.bytes, 0);
    let message = result.error.unwrap().to_string();
    assert!(message.contains("mount it writable"), "{message}");
}

#[test]
fn a_full_device_is_an_error() {
    let result = write_lines(&mut file(Path::new("/dev/full"), None), &lines(0, 1), at(0));
    assert_eq!(result.bytes, 0);
    let message = result.error.unwrap().to_string();
    assert!(message.starts_with("cannot write to /dev/full: No space left"), "{message}");
    assert!(message.contains("free some space"), "{message}");
}

#[test]
fn after_a_full_disk_writing_continues_where_it_stopped() {
    let Some(disk) = Disk::mount("size=64k") else { return };
    let filler = disk.fill(64 * KIB, 12 * KIB);
    let mut log_file = file(&disk.log(), None);
    let batch = awkward(0, 200);
    let mut done = 0;
    for seconds in 0..3 {
        let result = write_lines(&mut log_file, &batch[done..], at(seconds));
        done += result.bytes;
        let error = result.error.unwrap().to_string();
        assert!(error.contains("No space left"), "{error}");
        assert_eq!(fs::read(disk.log()).unwrap(), batch[..done]);
    }
    assert_eq!(done, 12 * KIB, "in the middle of line 121");

    // The torn line is finished before anything reopens or rotates.
    fs::remove_file(filler).unwrap();
    log_file.set_rotation(Some(by_size(10_000)));
    log_file.reopen();
    assert_eq!(write(&mut log_file, &batch[done..], at(4)), 1);
    assert_eq!(generation(&disk.log(), 1).unwrap(), awkward(0, 122));
    assert_eq!(fs::read(disk.log()).unwrap(), awkward(122, 78));
}

#[test]
fn a_line_that_stays_torn_is_cut_off_at_the_end() {
    let Some(disk) = Disk::mount("size=64k") else { return };
    disk.fill(64 * KIB, 8 * KIB);
    let mut log_file = file(&disk.log(), None);
    let result = write_lines(&mut log_file, &awkward(0, 100), at(0));
    assert!(result.error.is_some());
    assert_eq!(result.bytes, 8 * KIB);
    assert_eq!(log_file.close().unwrap().cut, 8192 % 101);
    assert_eq!(fs::read(disk.log()).unwrap(), awkward(0, 8192 / 101));
}

#[test]
fn a_line_may_be_torn_more_than_once() {
    let Some(disk) = Disk::mount("size=64k") else { return };
    let long = [vec![b'x'; 20_000], b"\n".to_vec()].concat();

    let filler = disk.fill(64 * KIB, 4 * KIB);
    let mut own = file(&disk.log(), None);
    let first = write_lines(&mut own, &long, at(0)).bytes;
    truncate(&filler, 56 * KIB);
    let second = write_lines(&mut own, &long[first..], at(0)).bytes;
    assert_eq!((first, second), (4 * KIB, 4 * KIB));
    assert_eq!(own.close().unwrap().cut, 8 * KIB as u64);
    assert_eq!(fs::read(disk.log()).unwrap(), b"");
}

#[test]
fn a_rotation_that_fails_holds_up_no_line_and_is_tried_again_a_second_later() {
    let (directory, path) = log();
    let obstacle = directory.path().join("access.log.2");
    put_in_the_way(&obstacle);
    let mut log_file = file(&path, Some(Rotation { keep: 1, ..by_size(20) }));
    let mut errors = Vec::new();
    for number in 0..10 {
        let now = at(0) + SignedDuration::from_millis(300 * number);
        let result = write_lines(&mut log_file, &lines(usize::try_from(number).unwrap(), 1), now);
        assert!(result.error.is_none());
        assert_eq!((result.bytes, result.rotations), (10, 0));
        errors.extend(result.rotation_error.map(|error| (number, error.to_string())));
    }
    let attempts: Vec<i64> = errors.iter().map(|(number, _)| *number).collect();
    assert_eq!(attempts, [2, 6]);
    assert!(errors[0].1.starts_with("cannot set aside "), "{}", errors[0].1);
    assert_eq!(fs::read(&path).unwrap(), lines(0, 10));

    fs::remove_dir(&obstacle).unwrap();
    assert_eq!(write(&mut log_file, &lines(10, 1), at(10)), 1);
    assert_eq!(history(&path), lines(0, 11));
}

#[test]
fn a_copy_that_finds_the_disk_full_changes_nothing() {
    let Some(disk) = Disk::mount("size=64k") else { return };
    let rule = Rotation { method: RotationMethod::CopyTruncate, ..by_size(20_000) };
    let mut log_file = file(&disk.log(), Some(rule));
    // Two files and a live one go in; the next copy doesn't.
    let (mut expected, mut failures, mut rotations) = (Vec::new(), 0, 0);
    for number in 0..600 {
        let line = awkward(number, 1);
        let result = write_lines(&mut log_file, &line, at(2 * i64::try_from(number).unwrap()));
        assert!(result.error.is_none(), "{:?}", result.error);
        assert_eq!(result.bytes, line.len());
        expected.extend(line);
        rotations += result.rotations;
        failures += u32::from(result.rotation_error.is_some());
    }
    assert!(rotations == 2 && failures > 1, "{rotations} {failures}");
    assert_eq!(names(disk.0.path()), ["access.log", "access.log.1", "access.log.2"]);
    assert_eq!(history(&disk.log()), expected);
}

#[test]
fn if_a_new_file_cannot_be_created_the_rename_is_undone() {
    for keep in [0, 3] {
        // Room for the directory and one file.
        let Some(disk) = Disk::mount("size=64k,nr_inodes=2") else { return };
        let mut log_file = file(&disk.log(), Some(Rotation { keep, ..by_size(20) }));
        write(&mut log_file, &lines(0, 2), at(0));
        let result = write_lines(&mut log_file, &lines(2, 2), at(1));
        assert!(result.error.is_none(), "{:?}", result.error);
        assert_eq!((result.bytes, result.rotations), (20, 0));
        let message = result.rotation_error.unwrap().to_string();
        assert!(message.starts_with("cannot open "), "{message}");
        assert_eq!(names(disk.0.path()), ["access.log"]);
        assert_eq!(fs::read(disk.log()).unwrap(), lines(0, 4));
    }
}

#[test]
fn a_compression_that_finds_the_disk_full_keeps_the_plain_file_and_no_other() {
    let Some(disk) = Disk::mount("size=64k") else { return };
    // Letters that gzip can't make much smaller.
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'a' + u8::try_from((state >> 16) % 26).unwrap()
    })
    .take(30 * KIB)
    .chain([b'\n'])
    .collect();
    let rule = Rotation { compress: Compression::Gzip, ..by_size(32 * KIB as u64) };
    let mut log_file = file(&disk.log(), Some(rule));
    write(&mut log_file, &noise, at(0));
    disk.fill(32 * KIB, 8 * KIB);
    // The compression may take the last of the room for a moment.
    let batch = awkward(0, 21);
    let (mut done, mut rotations) = (0, 0);
    while done < batch.len() {
        let result = write_lines(&mut log_file, &batch[done..], at(1));
        done += result.bytes;
        rotations += result.rotations;
    }
    log_file.close().unwrap();
    assert_eq!(rotations, 1);
    assert_eq!(names(disk.0.path()), ["access.log", "access.log.1", "filler"]);
    assert_eq!(history(&disk.log()), [noise, batch].concat());
}
