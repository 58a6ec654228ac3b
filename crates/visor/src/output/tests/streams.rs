//! Pipes, named pipes, and owners that share one stream.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    os::fd::AsFd,
    thread,
};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::*;
use crate::output::{
    CloseResult, OutputError, SharedOutputWriter, cancellation::has_room,
    destination::OpenDestination,
};

/// A sink into a pipe, as if the pipe were standard output, and the pipe's ends.
type Piped = (OutputWriter, io::PipeReader, io::PipeWriter);

fn piped() -> Piped {
    let (reader, pipe) = io::pipe().unwrap();
    let ours = pipe.as_fd().try_clone_to_owned().unwrap();
    let mut writer = OutputWriter::new(Destination::Stdout, None, Cancellation::new().unwrap());
    writer.output = Some(OpenDestination::new(File::from(ours), at(0)).unwrap());
    (writer, reader, pipe)
}

/// The same on a system that must be polled before each write.
fn piped_asking_first() -> Piped {
    let (mut writer, reader, pipe) = piped();
    writer.output = writer.output.map(OpenDestination::without_nowait);
    (writer, reader, pipe)
}

const BOTH_WAYS: [fn() -> Piped; 2] = [piped, piped_asking_first];

#[test]
fn a_pipe_whose_reader_stops_and_closes_has_only_whole_lines() {
    for piped in BOTH_WAYS {
        let (mut writer, reader, pipe) = piped();
        let batch = lines(0, 9000).repeat(3);
        let writing = thread::spawn(move || {
            let result = writer.write(&batch, at(0));
            (batch, result)
        });
        while has_room(&pipe).unwrap() {
            thread::yield_now();
        }
        drop(reader);
        let (batch, result) = writing.join().unwrap();
        assert!(result.error.unwrap().is_broken_pipe());
        assert!(result.bytes > 0 && result.bytes < batch.len());
        assert_eq!(batch[result.bytes - 1], b'\n');
    }
}

#[test]
fn a_pipe_that_someone_made_non_blocking_is_waited_for() {
    for piped in BOTH_WAYS {
        let (mut writer, mut reader, pipe) = piped();
        let flags = fcntl_getfl(&pipe).unwrap();
        fcntl_setfl(&pipe, flags | OFlags::NONBLOCK).unwrap();
        let batch = lines(0, 9000).repeat(3);
        let expected = batch.clone();
        let writing = thread::spawn(move || {
            write(&mut writer, &batch, at(0));
        });
        while has_room(&pipe).unwrap() {
            thread::yield_now();
        }
        drop(pipe);
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        writing.join().unwrap();
        assert!(read == expected);
    }
}

#[test]
fn a_line_longer_than_an_atomic_write_goes_through_whole() {
    for piped in BOTH_WAYS {
        let (mut writer, mut reader, pipe) = piped();
        drop(pipe);
        let long = [vec![b'x'; 20_000], b"\n".to_vec()].concat();
        let batch = [lines(0, 3), long, lines(3, 3)].concat();
        let expected = batch.clone();
        let writing = thread::spawn(move || {
            write(&mut writer, &batch, at(0));
        });
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        writing.join().unwrap();
        assert!(read == expected);
    }
}

/// A named pipe at this path.
fn named_pipe(path: &Path) {
    let mode = 0o600.into();
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

#[test]
fn a_named_pipe_waits_for_its_reader_and_for_the_next_one() {
    let (_directory, path) = log();
    named_pipe(&path);
    let mut writer = writer(&path, Some(by_size(20)));
    let no_reader = |result: WriteResult| {
        assert_eq!(result.bytes, 0);
        assert!(matches!(result.error, Some(OutputError::NoReader { .. })));
    };
    no_reader(writer.write(&lines(0, 5), at(0)));
    // Opening it for reading would wait for a writer as well.
    let open = || {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::open(&path, flags, 0.into()).unwrap());
        fcntl_setfl(&file, OFlags::empty()).unwrap();
        BufReader::with_capacity(10, file)
    };
    let read = |reader: &mut BufReader<File>| {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line
    };
    let mut reader = open();
    assert_eq!(write(&mut writer, &lines(0, 5), at(0)), 0, "a named pipe doesn't rotate");
    assert_eq!(read(&mut reader), "line 0000\n");
    drop(reader);
    no_reader(writer.write(&lines(5, 1), at(0)));
    // What the first one left is still there for the second.
    let mut reader = open();
    write(&mut writer, &lines(5, 1), at(0));
    let rest: String = (1..6).map(|_| read(&mut reader)).collect();
    assert_eq!(rest.into_bytes(), lines(1, 5));
    drop(reader);
    assert_eq!(writer.close().unwrap(), CloseResult::default());
}

#[test]
fn bytes_that_a_reader_left_behind_are_counted() {
    let (mut writer, reader, _writer) = piped();
    let mut reader = BufReader::with_capacity(10, reader);
    write(&mut writer, &lines(0, 5), at(0));
    reader.read_line(&mut String::new()).unwrap();
    drop(reader);
    assert_eq!(writer.close().unwrap().unread, 40);
}

#[test]
fn a_waiting_write_can_be_canceled_and_returns_what_was_written() {
    for piped in BOTH_WAYS {
        let (writer, mut reader, pipe) = piped();
        let cancellation = writer.cancellation.clone();
        let shared = SharedOutputWriter::new(writer);
        let batch = lines(0, 9000).repeat(3);
        let expected = batch.clone();
        let writing: Vec<_> = [shared.clone(), shared.new_owner()]
            .into_iter()
            .map(|owner| {
                let batch = batch.clone();
                thread::spawn(move || owner.write(&batch, at(0)))
            })
            .collect();
        while has_room(&pipe).unwrap() {
            thread::yield_now();
        }
        // An event loop that comes to a stalled stream mustn't stall.
        drop(shared.new_owner());
        cancellation.cancel();
        let mut written = 0;
        for owner in writing {
            let result = owner.join().unwrap();
            assert!(matches!(result.error, Some(OutputError::Canceled { .. })));
            written += result.bytes;
        }
        shared.close().unwrap();
        drop((shared, pipe));
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert_eq!(read.len(), written);
        assert!(expected.starts_with(&read) && read.ends_with(b"\n"));
    }
}

#[test]
fn owners_of_a_stream_never_mix_their_lines() {
    let (writer, reader, pipe) = piped();
    drop(pipe);
    let shared = SharedOutputWriter::new(writer);
    let writers: Vec<_> = (0..4)
        .map(|owner| {
            let shared = shared.new_owner();
            thread::spawn(move || {
                for number in 0..300 {
                    let line = format!("{owner} {number} {}\n", "x".repeat(90 * owner));
                    let result = shared.write(line.repeat(5).as_bytes(), at(0));
                    assert_eq!(result.bytes, line.len() * 5);
                }
            })
        })
        .collect();
    drop(shared);
    let mut next = [0; 4];
    for line in BufReader::new(reader).lines() {
        let line = line.unwrap();
        let fields: Vec<&str> = line.split(' ').collect();
        let owner: usize = fields[0].parse().unwrap();
        assert_eq!(fields[1].parse::<usize>().unwrap(), next[owner] / 5);
        assert_eq!(fields[2].len(), 90 * owner);
        next[owner] += 1;
    }
    for pipe in writers {
        pipe.join().unwrap();
    }
    assert_eq!(next, [1500; 4]);
}

#[test]
fn the_standard_streams_open() {
    for (destination, descriptor) in [(Destination::Stdout, 1), (Destination::Stderr, 2)] {
        let opened = OpenDestination::open(&destination, at(0)).unwrap();
        let metadata = fs::metadata(format!("/proc/self/fd/{descriptor}")).unwrap();
        assert_eq!(opened.is_regular(), metadata.is_file(), "{destination}");
    }
}
