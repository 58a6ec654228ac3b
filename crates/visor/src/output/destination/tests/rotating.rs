//! Rotation: by size and age, by either method, with and without gzip.

use super::*;

/// Every way of rotating, with what `keep` is.
fn every_way() -> impl Iterator<Item = Rotation> {
    [0, 1, 3].into_iter().flat_map(|keep| {
        [RotationMethod::Rename, RotationMethod::CopyTruncate].into_iter().flat_map(move |method| {
            let compressions =
                [(Compression::None, false), (Compression::Gzip, false), (Compression::Gzip, true)];
            compressions.into_iter().map(move |(compress, delay_compress)| Rotation {
                keep,
                method,
                compress,
                delay_compress,
                ..by_size(35)
            })
        })
    })
}

#[test]
fn every_way_keeps_the_youngest_files_and_splits_at_lines() {
    for rotation in every_way() {
        for batches in [vec![lines(0, 17)], (0..17).map(|number| lines(number, 1)).collect()] {
            let (directory, path) = log();
            let mut log_file = file(&path, Some(rotation.clone()));
            let rotations: u32 =
                batches.iter().map(|batch| write(&mut log_file, batch, at(0))).sum();
            log_file.close().unwrap();

            assert_eq!(rotations, 5, "{rotation:?}");
            let keep = usize::try_from(rotation.keep).unwrap();
            let suffix = |number| {
                let is_plain = rotation.delay_compress && number == 1;
                if rotation.compress == Compression::Gzip && !is_plain { ".gz" } else { "" }
            };
            let mut expected = vec!["access.log".to_owned()];
            expected
                .extend((1..=keep).map(|number| format!("access.log.{number}{}", suffix(number))));
            assert_eq!(names(directory.path()), expected, "{rotation:?}");
            assert_eq!(fs::read(&path).unwrap(), lines(15, 2), "{rotation:?}");
            for number in 1..=keep {
                let content = generation(&path, number).unwrap();
                assert_eq!(content, lines(15 - 3 * number, 3), "{rotation:?}");
            }
        }
    }
}

#[test]
fn a_file_may_be_as_large_as_max_size_and_no_larger() {
    let (_directory, path) = log();
    let mut log_file = file(&path, Some(by_size(30)));
    assert_eq!(write(&mut log_file, &lines(0, 3), at(0)), 0);
    assert_eq!(write(&mut log_file, &lines(3, 1), at(0)), 1);
}

#[test]
fn a_line_larger_than_max_size_has_a_file_of_its_own() {
    let (_directory, path) = log();
    let mut log_file = file(&path, Some(by_size(20)));
    let long = b"a line that is longer than a file may be\n".to_vec();
    let batch = [lines(0, 1), long.clone(), lines(1, 1)].concat();
    assert_eq!(write(&mut log_file, &batch, at(0)), 2);
    assert_eq!(generation(&path, 2).unwrap(), lines(0, 1));
    assert_eq!(generation(&path, 1).unwrap(), long);
    assert_eq!(fs::read(&path).unwrap(), lines(1, 1));
}

#[test]
fn age_is_counted_from_the_first_line_of_each_file() {
    for method in [RotationMethod::Rename, RotationMethod::CopyTruncate] {
        let (_directory, path) = log();
        let mut log_file = file(&path, Some(Rotation { method, ..by_age(60) }));
        let rotations: Vec<u32> = [0, 59, 60, 119, 120, 1000, 1059]
            .into_iter()
            .map(|seconds| write(&mut log_file, &lines(0, 1), at(seconds)))
            .collect();
        assert_eq!(rotations, [0, 0, 1, 0, 1, 1, 0], "{method:?}");
    }
}

#[test]
fn an_empty_file_is_never_too_old() {
    let (directory, path) = log();
    fs::write(&path, "").unwrap();
    let mut log_file = file(&path, Some(by_age(1)));
    assert_eq!(
        write(&mut log_file, &lines(0, 1), Timestamp::now() + SignedDuration::from_hours(9)),
        0
    );
    assert_eq!(names(directory.path()), ["access.log"]);
}

#[test]
fn a_clock_set_back_does_not_rotate() {
    let (_directory, path) = log();
    let mut log_file = file(&path, Some(by_age(60)));
    assert_eq!(write(&mut log_file, &lines(0, 1), at(0)), 0);
    assert_eq!(write(&mut log_file, &lines(0, 1), at(-1000)), 0);
    assert_eq!(write(&mut log_file, &lines(0, 1), at(60)), 1);
}

#[test]
fn a_reload_may_change_the_rule() {
    let (directory, path) = log();
    let rule = Rotation { compress: Compression::Gzip, ..by_size(10) };
    let mut log_file = file(&path, Some(rule.clone()));
    write(&mut log_file, &lines(0, 4), at(0));
    log_file.set_rotation(Some(Rotation { compress: Compression::None, ..rule.clone() }));
    write(&mut log_file, &lines(4, 2), at(0));
    assert_eq!(
        names(directory.path()),
        [
            "access.log",
            "access.log.1",
            "access.log.2",
            "access.log.3.gz",
            "access.log.4.gz",
            "access.log.5.gz"
        ]
    );
    assert_eq!(history(&path), lines(0, 6));

    log_file.set_rotation(Some(Rotation { keep: 2, ..rule }));
    write(&mut log_file, &lines(6, 1), at(0));
    log_file.close().unwrap();
    assert_eq!(names(directory.path()), ["access.log", "access.log.1.gz", "access.log.2"]);
    assert_eq!(history(&path), lines(4, 3));

    log_file.set_rotation(None);
    assert_eq!(write(&mut log_file, &lines(7, 9), at(0)), 0);
}

#[test]
fn only_what_is_in_the_way_moves() {
    let (directory, path) = log();
    for (name, content) in [("access.log.1", "one"), ("access.log.3.gz", "three")] {
        fs::write(directory.path().join(name), content).unwrap();
    }
    let mut log_file = file(&path, Some(Rotation { keep: 3, ..by_size(10) }));
    assert_eq!(write(&mut log_file, &lines(0, 2), at(0)), 1);
    assert_eq!(
        names(directory.path()),
        ["access.log", "access.log.1", "access.log.2", "access.log.3.gz"]
    );
    assert_eq!(fs::read(directory.path().join("access.log.2")).unwrap(), b"one");
}

#[test]
fn the_same_content_makes_the_same_gzip_bytes() {
    let compressed: Vec<Vec<u8>> = (0..2)
        .map(|_| {
            let (directory, path) = log();
            let rule = Rotation { compress: Compression::Gzip, ..by_size(100_000) };
            let mut log_file = file(&path, Some(rule));
            assert_eq!(write(&mut log_file, &lines(0, 10_001), at(0)), 1);
            log_file.close().unwrap();
            fs::read(directory.path().join("access.log.1.gz")).unwrap()
        })
        .collect();
    assert!(compressed[0] == compressed[1]);
    assert_eq!(compressed[0][..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0], "no name and no time");
    assert!(compressed[0].len() < 50_000);
}

#[test]
fn a_delayed_compression_is_made_up_for_by_the_next_process() {
    for method in [RotationMethod::Rename, RotationMethod::CopyTruncate] {
        let (directory, path) = log();
        let compress = Compression::Gzip;
        let rule = Rotation { compress, delay_compress: true, method, ..by_size(30) };
        let mut first = file(&path, Some(rule.clone()));
        write(&mut first, &lines(0, 4), at(0));
        first.close().unwrap();
        assert_eq!(names(directory.path()), ["access.log", "access.log.1"]);
        let mut second = file(&path, Some(rule));
        write(&mut second, &lines(4, 3), at(0));
        second.close().unwrap();
        assert_eq!(names(directory.path()), ["access.log", "access.log.1", "access.log.2.gz"]);
        assert_eq!(history(&path), lines(0, 7));
    }
}

#[test]
fn what_a_collector_has_removed_is_not_compressed() {
    let (directory, path) = log();
    let rule = Rotation { compress: Compression::Gzip, delay_compress: true, ..by_size(30) };
    let mut log_file = file(&path, Some(rule));
    write(&mut log_file, &lines(0, 4), at(0));
    fs::remove_file(directory.path().join("access.log.1")).unwrap();
    write(&mut log_file, &lines(4, 3), at(0));
    log_file.close().unwrap();
    assert_eq!(names(directory.path()), ["access.log", "access.log.1"]);
    assert_eq!(history(&path), lines(3, 4));
}

#[test]
fn what_a_killed_process_left_is_cleared_away() {
    let (directory, path) = log();
    fs::write(directory.path().join(".access.log.partial"), "half a fi").unwrap();
    fs::write(directory.path().join("access.log.1"), "spare").unwrap();
    fs::write(directory.path().join("access.log.1.gz"), "whole").unwrap();
    write(&mut file(&path, Some(by_size(100))), &lines(0, 1), at(0));
    assert_eq!(names(directory.path()), ["access.log", "access.log.1.gz"]);
}

#[test]
fn what_cannot_be_compressed_is_kept_as_it_is() {
    let (directory, path) = log();
    put_in_the_way(&directory.path().join(".access.log.partial"));
    let mut log_file = file(&path, Some(Rotation { compress: Compression::Gzip, ..by_size(20) }));
    assert_eq!(write(&mut log_file, &lines(0, 6), at(0)), 2);
    log_file.close().unwrap();
    let mut names = names(directory.path());
    names.retain(|name| !name.starts_with('.'));
    assert_eq!(names, ["access.log", "access.log.1", "access.log.2"]);
    assert_eq!(history(&path), lines(0, 6));
}
