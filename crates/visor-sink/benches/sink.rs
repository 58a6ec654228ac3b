//! How fast the sink takes what a client sends over one connection, beside a sink that rejects all of
//! it: that one only reads and answers.
//!
//!     cargo bench --package visor-sink --bench sink                JSON, as bench/run reads it

#![allow(missing_docs, clippy::expect_used, clippy::print_stdout, reason = "a benchmark")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use visor_proof::{
    Lane,
    token::{PLACEHOLDER, Writer},
};

const RECORDS: u32 = 1_000_000;
/// The records of a request.
const BATCH: usize = 5_000;
const ROUNDS: usize = 3;
/// A line of the format Combined, of which there are as many bytes.
const LINE: &str = r#"192.0.2.17 - - [02/Jan/2026:03:04:05 +0000] "GET /catalogue/books/4711?id=@ HTTP/1.1" 200 13058 "https://shop.example/catalogue/books" "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0""#;
/// The clock ticks of a second, as Linux counts processor time.
const TICKS: f64 = 100.0;

/// How records are sent.
struct Protocol {
    name: &'static str,
    path: &'static str,
    content_type: &'static str,
    /// The body of a request with these lines.
    body: fn(&[String]) -> Vec<u8>,
}

const PROTOCOLS: [Protocol; 3] = [
    Protocol { name: "NDJSON", path: "/logs", content_type: "application/x-ndjson", body: ndjson },
    Protocol {
        name: "Loki, protocol buffers",
        path: "/loki/api/v1/push",
        content_type: "application/x-protobuf",
        body: loki,
    },
    Protocol {
        name: "OTLP, protocol buffers",
        path: "/v1/logs",
        content_type: "application/x-protobuf",
        body: otlp,
    },
];

fn main() {
    let directory = tempfile::tempdir().expect("a directory");
    let state = directory.path().join("state.jsonl").display().to_string();
    let ways: [(&str, &[&str]); 3] =
        [("sink", &[]), ("withState", &["--state", &state]), ("floor", &["--fault", "reject"])];
    let mut found = Vec::new();
    for lanes in [1, 10_000] {
        let lines = lines(lanes);
        for protocol in &PROTOCOLS {
            let requests: Vec<Vec<u8>> =
                lines.chunks(BATCH).map(|lines| request(protocol, lines)).collect();
            let mut rounds: Vec<(&str, Vec<Value>)> =
                ways.iter().map(|(way, _)| (*way, Vec::new())).collect();
            for _ in 0..ROUNDS {
                for ((way, options), (_, costs)) in ways.iter().zip(&mut rounds) {
                    // Each begins anew.
                    let _ = fs::remove_file(&state);
                    costs.push(measure(&requests, options, *way != "floor"));
                }
            }
            let bytes: usize = requests.iter().map(Vec::len).sum();
            let costs: serde_json::Map<String, Value> = rounds
                .into_iter()
                .map(|(way, costs)| (way.to_owned(), Value::from(costs)))
                .collect();
            found.push(json!({
                "protocol": protocol.name,
                "lanes": lanes,
                "records": RECORDS,
                "bytes": bytes,
                "costs": costs,
            }));
        }
    }
    println!("{}", Value::from(found));
}

/// Lines of so many lanes, in turns.
fn lines(lanes: u32) -> Vec<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    let milliseconds = u64::try_from(now.as_millis()).expect("a time before the end of days");
    let mut writers: Vec<Writer> =
        (0..lanes).map(|lane| Writer::new(Lane::live(u64::from(lane) * 65_537 + 1))).collect();
    let template = LINE.replace('@', &String::from_utf8_lossy(PLACEHOLDER)).into_bytes();
    let line = |number: u32| {
        let mut line = template.clone();
        let writer = &mut writers[(number % lanes) as usize];
        assert!(writer.complete(&mut line, milliseconds, number / lanes, 1), "a token");
        String::from_utf8(line).expect("text")
    };
    (0..RECORDS).map(line).collect()
}

fn request(protocol: &Protocol, lines: &[String]) -> Vec<u8> {
    let body = (protocol.body)(lines);
    let mut request = format!(
        "POST {} HTTP/1.1\r\nHost: sink\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        protocol.path,
        protocol.content_type,
        body.len()
    )
    .into_bytes();
    request.extend(body);
    request
}

fn ndjson(lines: &[String]) -> Vec<u8> {
    let records = lines.iter().map(|line| {
        let record = json!({
            "@timestamp": "2026-01-02T03:04:05.678Z",
            "host": "web-0",
            "message": line,
            "path": "/var/log/apache2/access.log",
        });
        format!("{record}\n")
    });
    records.collect::<String>().into_bytes()
}

/// A field of a message that has bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut length = bytes.len();
    let mut field = vec![number << 3 | 2];
    while length >= 0x80 {
        field.push(0x80 | u8::try_from(length & 0x7f).expect("seven bits"));
        length >>= 7;
    }
    field.push(u8::try_from(length).expect("seven bits"));
    field.extend(bytes);
    field
}

fn loki(lines: &[String]) -> Vec<u8> {
    let entry = |line: &String| {
        let time = [0x08, 0xe5, 0xfb, 0xdd, 0xca, 0x06, 0x10, 0x07];
        field(2, &[field(1, &time), field(2, line.as_bytes())].concat())
    };
    let entries: Vec<u8> = lines.iter().flat_map(entry).collect();
    let labels = field(1, br#"{filename="/var/log/apache2/access.log", job="web"}"#);
    let push = field(1, &[labels, entries].concat());
    snap::raw::Encoder::new().compress_vec(&push).expect("snappy")
}

fn otlp(lines: &[String]) -> Vec<u8> {
    let text = |text: &str| field(1, text.as_bytes());
    let attribute =
        |name: &str, value: &str| field(6, &[text(name), field(2, &text(value))].concat());
    let record = |line: &String| {
        let time = [&[0x09][..], &7_u64.to_le_bytes()].concat();
        let body = field(5, &text(line));
        let name = attribute("log.file.name", "access.log");
        field(2, &[time, body, name, attribute("host.name", "web-0")].concat())
    };
    let records: Vec<u8> = lines.iter().flat_map(record).collect();
    field(1, &field(2, &records))
}

/// What it takes a new sink to take these requests: seconds by the clock, seconds of processor time,
/// and the most bytes of memory.
fn measure(requests: &[Vec<u8>], options: &[&str], are_taken: bool) -> Value {
    let mut sink = Command::new(env!("CARGO_BIN_EXE_visor-sink"))
        .args(["--http", "127.0.0.1:0", "--logging-format", "json", "--output", "json"])
        .args(options)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a sink");
    let address = address(&mut sink);
    let stream = TcpStream::connect(&address).expect("a connection");
    stream.set_nodelay(true).expect("an option");
    let mut answers = BufReader::new(stream.try_clone().expect("a stream"));
    let before = processor_time(&sink);
    let begin = Instant::now();
    for request in requests {
        (&stream).write_all(request).expect("a request");
        assert_eq!(answer(&mut answers) < 300, are_taken, "each request is answered as it should");
    }
    let seconds = begin.elapsed().as_secs_f64();
    let processor = processor_time(&sink) - before;
    let status = fs::read_to_string(format!("/proc/{}/status", sink.id())).expect("a status");
    let kibibytes =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().split(' ').next());
    let memory = kibibytes.and_then(|number| number.parse::<u64>().ok()).expect("memory") << 10;
    let delivered = delivered(&address);
    let wanted = if are_taken { u64::from(RECORDS) } else { 0 };
    assert_eq!(delivered, wanted, "all of it arrived, or nothing");
    sink.kill().expect("a sink that runs");
    sink.wait().expect("the end of the sink");
    json!({ "seconds": seconds, "processorSeconds": processor, "memoryBytes": memory })
}

/// Where a sink listens. What it says besides is read and dropped.
fn address(sink: &mut Child) -> String {
    let mut diagnostics = BufReader::new(sink.stderr.take().expect("diagnostics")).lines();
    let address = diagnostics.find_map(|line| {
        let event: Value = serde_json::from_str(&line.ok()?).ok()?;
        let fields = event.get("fields").unwrap_or(&event);
        fields.get("address")?.as_str().map(str::to_owned)
    });
    std::thread::spawn(move || diagnostics.for_each(drop));
    address.expect("a sink that listens")
}

/// Reads an answer, and returns its status.
fn answer(answers: &mut impl BufRead) -> u16 {
    let (mut status, mut length) = (0, 0);
    loop {
        let mut line = String::new();
        answers.read_line(&mut line).expect("a line of an answer");
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(rest) = line.strip_prefix("http/1.1 ") {
            status = rest.get(..3).and_then(|status| status.parse().ok()).expect("a status");
        } else if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().expect("a length");
        } else if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    answers.read_exact(&mut body).expect("a body");
    status
}

fn delivered(address: &str) -> u64 {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let request = "GET /verdict HTTP/1.1\r\nHost: sink\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("a request");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body).expect("a body");
    let verdict: Value = serde_json::from_str(body).expect("a verdict");
    verdict["total"]["delivered"].as_u64().expect("a count")
}

/// The processor time of a program in seconds.
fn processor_time(program: &Child) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", program.id())).expect("its times");
    let (_, rest) = stat.rsplit_once(')').expect("its name");
    let ticks = rest.split_whitespace().skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<f64>().expect("a number")).sum::<f64>() / TICKS
}
