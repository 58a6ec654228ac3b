//! Pipes as standard output, and named pipes.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    os::fd::AsFd,
    thread,
};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::*;
use crate::output::{
    CloseResult, OutputError,
    cancellation::has_room,
    destination::{descriptor::Descriptor, standard_stream::StandardStream},
};

/// A pipe as if it were standard output, its ends, and the cancellation of its writes.
type Piped = (StandardStream, io::PipeReader, io::PipeWriter, Cancellation);

fn connect(without_nowait: bool) -> Piped {
    let (reader, pipe) = io::pipe().unwrap();
    let ours = pipe.as_fd().try_clone_to_owned().unwrap();
    let mut descriptor = Descriptor::new(File::from(ours), at(0)).unwrap();
    if without_nowait {
        descriptor = descriptor.without_nowait();
    }
    let cancellation = Cancellation::new().unwrap();
    let stream = StandardStream::connected_to(descriptor, cancellation.clone());
    (stream, reader, pipe, cancellation)
}

fn piped() -> Piped {
    connect(false)
}

/// The same on a system that must be polled before each write.
fn piped_asking_first() -> Piped {
    connect(true)
}

const BOTH_WAYS: [fn() -> Piped; 2] = [piped, piped_asking_first];

#[test]
fn a_pipe_whose_reader_stops_and_closes_has_only_whole_lines() {
    for piped in BOTH_WAYS {
        let (mut stream, reader, pipe, _) = piped();
        let batch = lines(0, 9000).repeat(3);
        let writing = thread::spawn(move || {
            let result = write_lines(&mut stream, &batch, at(0));
            (batch, result)
        });
        while has_room(&pipe).unwrap() {
            thread::yield_now();
        }
        drop(reader);
        let (batch, result) = writing.join().unwrap();
        assert!(matches!(result.error, Some(OutputError::ReaderGone { .. })));
        assert!(result.bytes > 0 && result.bytes < batch.len());
        assert_eq!(batch[result.bytes - 1], b'\n');
    }
}

#[test]
fn a_pipe_that_someone_made_non_blocking_is_waited_for() {
    for piped in BOTH_WAYS {
        let (mut stream, mut reader, pipe, _) = piped();
        let flags = fcntl_getfl(&pipe).unwrap();
        fcntl_setfl(&pipe, flags | OFlags::NONBLOCK).unwrap();
        let batch = lines(0, 9000).repeat(3);
        let expected = batch.clone();
        let writing = thread::spawn(move || {
            write(&mut stream, &batch, at(0));
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
        let (mut stream, mut reader, pipe, _) = piped();
        drop(pipe);
        let long = [vec![b'x'; 20_000], b"\n".to_vec()].concat();
        let batch = [lines(0, 3), long, lines(3, 3)].concat();
        let expected = batch.clone();
        let writing = thread::spawn(move || {
            write(&mut stream, &batch, at(0));
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
    let mut pipe = file(&path, Some(by_size(20)));
    let no_reader = |result: WriteResult| {
        assert_eq!(result.bytes, 0);
        assert!(matches!(result.error, Some(OutputError::Disconnected { .. })));
    };
    no_reader(write_lines(&mut pipe, &lines(0, 5), at(0)));
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
    assert_eq!(write(&mut pipe, &lines(0, 5), at(0)), 0, "a named pipe doesn't rotate");
    assert_eq!(read(&mut reader), "line 0000\n");
    drop(reader);
    no_reader(write_lines(&mut pipe, &lines(5, 1), at(0)));
    // What the first one left is still there for the second.
    let mut reader = open();
    write(&mut pipe, &lines(5, 1), at(0));
    let rest: String = (1..6).map(|_| read(&mut reader)).collect();
    assert_eq!(rest.into_bytes(), lines(1, 5));
    drop(reader);
    assert_eq!(pipe.close().unwrap(), CloseResult::default());
}

#[test]
fn bytes_that_a_reader_left_behind_are_counted() {
    let (mut pipe, reader, _writer, _) = piped();
    let mut reader = BufReader::with_capacity(10, reader);
    write(&mut pipe, &lines(0, 5), at(0));
    reader.read_line(&mut String::new()).unwrap();
    drop(reader);
    assert_eq!(pipe.close().unwrap().unread, 40);
}

#[test]
fn the_start_of_a_record_is_neither_written_nor_unread() {
    for piped in BOTH_WAYS {
        let (mut stream, reader, pipe, _) = piped();
        let long = [vec![b'x'; 200_000], b"\n".to_vec()].concat();
        let batch = [lines(0, 3), long].concat();
        let writing = thread::spawn(move || {
            let result = write_lines(&mut stream, &batch, at(0));
            (result, stream.close().unwrap())
        });
        while has_room(&pipe).unwrap() {
            thread::yield_now();
        }
        drop(reader);
        let (result, closed) = writing.join().unwrap();
        assert!(matches!(result.error, Some(OutputError::ReaderGone { .. })));
        assert!(result.bytes > 30, "of the long line as well");
        assert_eq!(closed.unread, 30);
    }
}

#[test]
fn a_waiting_write_can_be_canceled_and_returns_what_was_written() {
    for piped in BOTH_WAYS {
        let (mut stream, mut reader, pipe, cancellation) = piped();
        let batch = lines(0, 9000).repeat(3);
        let expected = batch.clone();
        let writing = thread::spawn(move || {
            let result = write_lines(&mut stream, &batch, at(0));
            stream.close().unwrap();
            result
        });
        while has_room(&pipe).unwrap() {
            thread::yield_now();
        }
        cancellation.cancel();
        let result = writing.join().unwrap();
        assert!(matches!(result.error, Some(OutputError::Canceled { .. })));
        drop(pipe);
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert_eq!(read.len(), result.bytes);
        assert!(expected.starts_with(&read) && read.ends_with(b"\n"));
    }
}
