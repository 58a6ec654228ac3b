//! Opening, appending after a restart, and reopening.

use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn the_first_write_opens_the_target_also_one_of_nothing() {
    let (directory, path) = log();
    let mut log_file = file(&path, None);
    assert!(names(directory.path()).is_empty());
    assert_eq!(write(&mut log_file, b"", at(0)), 0);
    assert_eq!(fs::read(&path).unwrap(), b"");
    assert_eq!(log_file.close().unwrap().cut, 0);
}

#[test]
fn a_file_is_created_with_its_directories_and_httpds_mode() {
    let (directory, _) = log();
    let path = directory.path().join("shop/eu/access.log");
    write(&mut file(&path, None), &lines(0, 3), at(0));
    assert_eq!(fs::read(&path).unwrap(), lines(0, 3));
    // Any new file's mode is 0666 less the umask.
    fs::write(directory.path().join("any"), "").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&path), mode(&directory.path().join("any")) & 0o644);
}

#[test]
fn a_restart_appends() {
    let (_directory, path) = log();
    write(&mut file(&path, None), &lines(0, 3), at(0));
    write(&mut file(&path, None), &lines(3, 2), at(0));
    assert_eq!(fs::read(&path).unwrap(), lines(0, 5));
}

#[test]
fn a_line_that_a_killed_writer_left_torn_is_ended_first() {
    let (_directory, path) = log();
    fs::write(&path, "line 0000\nline 00").unwrap();
    write(&mut file(&path, None), &lines(1, 1), at(0));
    assert_eq!(fs::read(&path).unwrap(), b"line 0000\nline 00\nline 0001\n");
}

#[test]
fn the_size_of_a_file_that_was_there_counts() {
    let (_directory, path) = log();
    fs::write(&path, lines(0, 4)).unwrap();
    let mut log_file = file(&path, Some(by_size(50)));
    assert_eq!(write(&mut log_file, &lines(4, 3), at(0)), 1);
    assert_eq!(generation(&path, 1).unwrap(), lines(0, 5));
    assert_eq!(fs::read(&path).unwrap(), lines(5, 2));
}

#[test]
fn the_age_of_a_file_that_was_there_counts() {
    let (_directory, path) = log();
    let hour = SignedDuration::from_hours(1);
    for (now, rotations) in [(Timestamp::now(), 0), (Timestamp::now() + hour, 1)] {
        fs::write(&path, lines(0, 1)).unwrap();
        let mut log_file = file(&path, Some(by_age(3500)));
        assert_eq!(write(&mut log_file, &lines(1, 1), now), rotations);
    }
}

#[test]
fn simulated_time_before_a_files_creation_does_not_make_it_old_or_young() {
    let (_directory, path) = log();
    fs::write(&path, lines(0, 1)).unwrap();
    let mut log_file = file(&path, Some(by_age(10)));
    assert_eq!(write(&mut log_file, &lines(1, 1), at(0)), 0);
    assert_eq!(write(&mut log_file, &lines(2, 1), at(9)), 0);
    assert_eq!(write(&mut log_file, &lines(3, 1), at(10)), 1);
}

#[test]
fn a_renamed_file_is_written_to_until_it_is_reopened() {
    let (directory, path) = log();
    let mut log_file = file(&path, None);
    write(&mut log_file, &lines(0, 1), at(0));
    let moved = directory.path().join("access.log-20260101");
    fs::rename(&path, &moved).unwrap();
    write(&mut log_file, &lines(1, 1), at(1));
    log_file.reopen();
    write(&mut log_file, &lines(2, 1), at(2));
    assert_eq!(fs::read(&moved).unwrap(), lines(0, 2));
    assert_eq!(fs::read(&path).unwrap(), lines(2, 1));
}

#[test]
fn a_rotation_leaves_a_file_alone_that_took_the_place_of_ours() {
    for method in [RotationMethod::Rename, RotationMethod::CopyTruncate] {
        let (directory, path) = log();
        let mut log_file = file(&path, Some(Rotation { method, ..by_size(30) }));
        write(&mut log_file, &lines(0, 3), at(0));
        fs::rename(&path, directory.path().join("elsewhere")).unwrap();
        fs::write(&path, "someone else's\n").unwrap();
        assert_eq!(write(&mut log_file, &lines(3, 1), at(1)), 0);
        assert_eq!(fs::read(directory.path().join("elsewhere")).unwrap(), lines(0, 3));
        assert_eq!(
            fs::read(&path).unwrap(),
            [b"someone else's\n".as_slice(), &lines(3, 1)].concat()
        );
    }
}

#[test]
fn a_file_that_something_else_cut_is_as_small_as_it_is() {
    let (directory, path) = log();
    let mut log_file = file(&path, Some(by_size(30)));
    write(&mut log_file, &lines(0, 3), at(0));
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    assert_eq!(write(&mut log_file, &lines(3, 3), at(1)), 0);
    assert_eq!(names(directory.path()), ["access.log"]);
    assert_eq!(fs::read(&path).unwrap(), lines(3, 3));
}
