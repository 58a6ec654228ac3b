//! Pipes, named pipes, and owners that share one stream.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    os::fd::AsFd,
    thread,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
};

use super::*;
use crate::sink::{SharedSink, target::Output};

/// A sink into a pipe, as if the pipe were standard output, and the pipe's other end.
fn piped() -> (Sink, io::PipeReader, io::PipeWriter) {
    let (reader, writer) = io::pipe().unwrap();
    let ours = writer.as_fd().try_clone_to_owned().unwrap();
    let mut sink = Sink::new(Target::Stdout, None);
    sink.output = Some(Output::new(File::from(ours), at(0)).unwrap());
    (sink, reader, writer)
}

fn has_room(writer: &io::PipeWriter) -> bool {
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(writer, PollFlags::OUT)], Some(&at_once)).unwrap() > 0
}

#[test]
fn a_pipe_whose_reader_stalls_and_leaves_has_whole_lines_only() {
    let (mut sink, reader, writer) = piped();
    let batch = lines(0, 9000).repeat(3);
    let writing = thread::spawn(move || {
        let progress = sink.write(&batch, at(0));
        (batch, progress)
    });
    while has_room(&writer) {
        thread::yield_now();
    }
    drop(reader);
    let (batch, progress) = writing.join().unwrap();
    assert!(progress.error.unwrap().is_broken_pipe());
    assert!(progress.bytes > 0 && progress.bytes < batch.len());
    assert_eq!(batch[progress.bytes - 1], b'\n');
}

#[test]
fn a_pipe_that_someone_made_non_blocking_is_waited_for() {
    let (mut sink, mut reader, writer) = piped();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    let batch = lines(0, 9000).repeat(3);
    let expected = batch.clone();
    let writing = thread::spawn(move || {
        write(&mut sink, &batch, at(0));
    });
    while has_room(&writer) {
        thread::yield_now();
    }
    drop(writer);
    let mut read = Vec::new();
    reader.read_to_end(&mut read).unwrap();
    writing.join().unwrap();
    assert!(read == expected);
}

#[test]
fn a_line_longer_than_an_atomic_write_goes_through_whole() {
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

#[test]
fn a_named_pipe_is_written_to_and_its_reader_missed() {
    let (_directory, path) = log();
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    let there = path.clone();
    let writing = thread::spawn(move || {
        let mut sink = sink(&there, Some(by_size(20)));
        let rotations = write(&mut sink, &lines(0, 5), at(0));
        (sink, rotations)
    });
    let mut reader = BufReader::new(File::open(&path).unwrap());
    let (mut sink, rotations) = writing.join().unwrap();
    assert_eq!(rotations, 0, "a named pipe doesn't rotate");
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "line 0000\n");
    drop(reader);
    assert!(sink.write(&lines(5, 1), at(0)).error.unwrap().is_broken_pipe());
}

#[test]
fn owners_of_a_stream_never_mix_their_lines() {
    let (sink, reader, writer) = piped();
    drop(writer);
    let shared = SharedSink::new(sink);
    let writers: Vec<_> = (0..4)
        .map(|owner| {
            let shared = shared.clone();
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
    for target in [Target::Stdout, Target::Stderr] {
        assert!(Output::open(&target, at(0)).is_ok(), "{target}");
    }
}
