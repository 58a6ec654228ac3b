//! Pipes, named pipes, and owners that share one stream.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    os::fd::AsFd,
    thread,
};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::*;
use crate::sink::{Closed, SharedSink, SinkError, patience::has_room, target::OpenTarget};

/// A sink into a pipe, as if the pipe were standard output, and the pipe's ends.
type Piped = (Sink, io::PipeReader, io::PipeWriter);

fn piped() -> Piped {
    let (reader, writer) = io::pipe().unwrap();
    let ours = writer.as_fd().try_clone_to_owned().unwrap();
    let mut sink = Sink::new(Target::Stdout, None, Patience::new().unwrap());
    sink.output = Some(OpenTarget::new(File::from(ours), at(0)).unwrap());
    (sink, reader, writer)
}

/// The same on a system that has to be asked for room before each write.
fn piped_asking_first() -> Piped {
    let (mut sink, reader, writer) = piped();
    sink.output = sink.output.map(OpenTarget::asking_first);
    (sink, reader, writer)
}

const BOTH_WAYS: [fn() -> Piped; 2] = [piped, piped_asking_first];

#[test]
fn a_pipe_whose_reader_stalls_and_leaves_has_whole_lines_only() {
    for piped in BOTH_WAYS {
        let (mut sink, reader, writer) = piped();
        let batch = lines(0, 9000).repeat(3);
        let writing = thread::spawn(move || {
            let progress = sink.write(&batch, at(0));
            (batch, progress)
        });
        while has_room(&writer).unwrap() {
            thread::yield_now();
        }
        drop(reader);
        let (batch, progress) = writing.join().unwrap();
        assert!(progress.error.unwrap().is_broken_pipe());
        assert!(progress.bytes > 0 && progress.bytes < batch.len());
        assert_eq!(batch[progress.bytes - 1], b'\n');
    }
}

#[test]
fn a_pipe_that_someone_made_non_blocking_is_waited_for() {
    for piped in BOTH_WAYS {
        let (mut sink, mut reader, writer) = piped();
        let flags = fcntl_getfl(&writer).unwrap();
        fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
        let batch = lines(0, 9000).repeat(3);
        let expected = batch.clone();
        let writing = thread::spawn(move || {
            write(&mut sink, &batch, at(0));
        });
        while has_room(&writer).unwrap() {
            thread::yield_now();
        }
        drop(writer);
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        writing.join().unwrap();
        assert!(read == expected);
    }
}

#[test]
fn a_line_longer_than_an_atomic_write_goes_through_whole() {
    for piped in BOTH_WAYS {
        let (mut sink, mut reader, writer) = piped();
        drop(writer);
        let long = [vec![b'x'; 20_000], b"\n".to_vec()].concat();
        let batch = [lines(0, 3), long, lines(3, 3)].concat();
        let expected = batch.clone();
        let writing = thread::spawn(move || {
            write(&mut sink, &batch, at(0));
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
    let mut sink = sink(&path, Some(by_size(20)));
    let no_reader = |progress: Progress| {
        assert_eq!(progress.bytes, 0);
        assert!(matches!(progress.error, Some(SinkError::NoReader { .. })));
    };
    no_reader(sink.write(&lines(0, 5), at(0)));
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
    assert_eq!(write(&mut sink, &lines(0, 5), at(0)), 0, "a named pipe doesn't rotate");
    assert_eq!(read(&mut reader), "line 0000\n");
    drop(reader);
    no_reader(sink.write(&lines(5, 1), at(0)));
    // What the first one left is still there for the second.
    let mut reader = open();
    write(&mut sink, &lines(5, 1), at(0));
    let rest: String = (1..6).map(|_| read(&mut reader)).collect();
    assert_eq!(rest.into_bytes(), lines(1, 5));
    drop(reader);
    assert_eq!(sink.close().unwrap(), Closed::default());
}

#[test]
fn bytes_that_a_reader_left_behind_are_counted() {
    let (mut sink, reader, _writer) = piped();
    let mut reader = BufReader::with_capacity(10, reader);
    write(&mut sink, &lines(0, 5), at(0));
    reader.read_line(&mut String::new()).unwrap();
    drop(reader);
    assert_eq!(sink.close().unwrap().unread, 40);
}

#[test]
fn who_waits_for_room_can_be_told_to_give_up_and_says_what_went_in() {
    for piped in BOTH_WAYS {
        let (sink, mut reader, writer) = piped();
        let patience = sink.patience.clone();
        let shared = SharedSink::new(sink);
        let batch = lines(0, 9000).repeat(3);
        let expected = batch.clone();
        let writing: Vec<_> = [shared.clone(), shared.another_owner()]
            .into_iter()
            .map(|owner| {
                let batch = batch.clone();
                thread::spawn(move || owner.write(&batch, at(0)))
            })
            .collect();
        while has_room(&writer).unwrap() {
            thread::yield_now();
        }
        // An event loop that comes to a stalled stream mustn't stall.
        drop(shared.another_owner());
        patience.end();
        let mut written = 0;
        for owner in writing {
            let progress = owner.join().unwrap();
            assert!(matches!(progress.error, Some(SinkError::GivenUp { .. })));
            written += progress.bytes;
        }
        shared.close().unwrap();
        drop((shared, writer));
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert_eq!(read.len(), written);
        assert!(expected.starts_with(&read) && read.ends_with(b"\n"));
    }
}

#[test]
fn owners_of_a_stream_never_mix_their_lines() {
    let (sink, reader, writer) = piped();
    drop(writer);
    let shared = SharedSink::new(sink);
    let writers: Vec<_> = (0..4)
        .map(|owner| {
            let shared = shared.another_owner();
            thread::spawn(move || {
                for number in 0..300 {
                    let line = format!("{owner} {number} {}\n", "x".repeat(90 * owner));
                    let progress = shared.write(line.repeat(5).as_bytes(), at(0));
                    assert_eq!(progress.bytes, line.len() * 5);
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
    for writer in writers {
        writer.join().unwrap();
    }
    assert_eq!(next, [1500; 4]);
}

#[test]
fn the_standard_streams_open() {
    for (target, descriptor) in [(Target::Stdout, 1), (Target::Stderr, 2)] {
        let opened = OpenTarget::open(&target, at(0)).unwrap();
        let metadata = fs::metadata(format!("/proc/self/fd/{descriptor}")).unwrap();
        assert_eq!(opened.is_regular(), metadata.is_file(), "{target}");
    }
}
