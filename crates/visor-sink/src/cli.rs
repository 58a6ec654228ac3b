//! The command line.

use std::{path::PathBuf, str::FromStr, time::Duration};

use clap::{Args, Parser, Subcommand, ValueHint};
use visor_http::ListenAddress;
use visor_proof::{delivery::FaultKind, verdict::Form};
use visor_runtime::logging::LoggingFormat;

pub use crate::{emitted::Place, fault::Fault};

/// Take what log collectors send, and tell which lines arrived
#[derive(Debug, Parser)]
#[command(
    name = "visor-sink",
    version,
    about,
    long_about = None,
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// The options of a run.
    #[command(flatten)]
    pub options: Options,

    /// What else it does.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What else the program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the reference of flags and metrics as Markdown
    #[command(hide = true)]
    Reference,
}

const EXAMPLES: &str = "\
Examples:
  visor run -f shop.yaml --report emitted.json
  visor sink --emitted emitted.json --until-complete
      Waits until the run has ended and everything had time to arrive, and
      prints the verdict.
  visor sink --emitted http://127.0.0.1:9464/emitted --for 10m --output junit
      Prints the verdict after ten minutes, for continuous integration.

Collectors send to http://127.0.0.1:9465, each as to its own endpoint:
Elasticsearch's _bulk, Loki's push, OTLP over HTTP, Splunk's HTTP Event
Collector; to any other path JSON, lines or a form.

Faults, each with options behind commas:
  reject                      don't take it, and answer with status=503,
                              retry-after=2s
  error                       take it, and answer with status=500
  close                       close its connection without an answer,
                              when=after it is taken or before
  delay                       answer later, by=14s
  reject-items                don't take an item of _bulk, and answer with
                              status=429
  withhold-acknowledgements   take it, and don't acknowledge it, where the
                              protocol does that
  slow-read                   read so many bytes-per-second=10000
To which requests: share=10%, every=3 for each third one, count=5 for at most
five, after=10s from the start on, for=20s from then on, protocol=loki for one
alone.

Exit status: 0 if all lines arrived once and intact, 1 if something happened to
a line, 2 if an option is wrong or the sink can't work, 3 if it can't be told.";

/// The options of a run.
#[derive(Debug, Args)]
pub struct Options {
    /// The address that takes requests over HTTP, and serves /verdict, /metrics, /livez and /readyz:
    /// an address and a port, or `:PORT` for all addresses; port 0 is any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9465", value_hint = ValueHint::Other)]
    pub http: ListenAddress,

    /// The address that takes OTLP over gRPC: 127.0.0.1:4317, if none is given
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:4317", value_hint = ValueHint::Other)]
    pub grpc: Option<ListenAddress>,

    /// The address that takes Fluent Forward over TCP: 127.0.0.1:24224, if none is given
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:24224", value_hint = ValueHint::Other)]
    pub forward: Option<ListenAddress>,

    /// The address that takes syslog messages, over TCP and UDP: 127.0.0.1:5514, if none is given
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:5514", value_hint = ValueHint::Other)]
    pub syslog: Option<ListenAddress>,

    /// The address that takes plain lines over TCP: 127.0.0.1:5170, if none is given
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:5170", value_hint = ValueHint::Other)]
    pub lines: Option<ListenAddress>,

    /// Take plain lines on standard input
    #[arg(long)]
    pub stdin: bool,

    /// Where to ask every second what was emitted: a file of `visor run --report`, or the page
    /// /emitted of a generator. Can be given several times
    #[arg(long, value_name = "FILE|URL")]
    pub emitted: Vec<Place>,

    /// A file for what is known, so that a sink that begins again goes on. It is written before a
    /// client is answered. Without it, what arrived before is unobserved
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub state: Option<PathBuf>,

    /// A directory with tls.crt and tls.key, such as that of a Secret. All ports over TCP then speak
    /// TLS; datagrams of syslog don't
    #[arg(long, value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
    pub tls: Option<PathBuf>,

    /// A file with what clients over HTTP and gRPC have to show, each in a line: a token, or
    /// USER:PASSWORD. A token is also a shared key of Fluent Forward. Syslog, lines and pages need none
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub credentials: Option<PathBuf>,

    /// A fault on purpose: its name and options, such as `reject,status=429,retry-after=2s,share=10%`.
    /// Can be given several times
    #[arg(long, value_name = "FAULT", value_hint = ValueHint::Other)]
    pub fault: Vec<Fault>,

    /// How long a line may take. Until then it isn't missing
    #[arg(long, value_name = "DURATION", default_value = "30s", value_hint = ValueHint::Other)]
    pub settle: Period,

    /// End when all generators have ended and nothing has arrived for as long as a line may take
    #[arg(long, requires = "emitted")]
    pub until_complete: bool,

    /// How long to run at most
    #[arg(long = "for", value_name = "DURATION", value_hint = ValueHint::Other)]
    pub duration: Option<Period>,

    /// The form of the verdict at the end
    #[arg(long, value_enum, default_value_t = Form::Table, value_name = "FORM")]
    pub output: Form,

    /// A count that is no fault here. Can be given several times
    #[arg(long, value_enum, value_name = "COUNT")]
    pub allow: Vec<FaultKind>,

    /// The name of a field that has lines as they were written. Without it, a field is one if at least
    /// 1 % of its texts with a token are intact lines
    #[arg(long, value_name = "FIELD", value_hint = ValueHint::Other)]
    pub raw: Vec<String>,

    /// The name of a field that has something else than lines as they were written, so only their
    /// tokens can be checked
    #[arg(long, value_name = "FIELD", value_hint = ValueHint::Other)]
    pub unchecked: Vec<String>,

    /// The format of the sink's own diagnostics on standard error. VISOR_LOG sets their level, such as
    /// `debug` or `warn`
    #[arg(long, value_enum, default_value_t = LoggingFormat::Text, value_name = "FORMAT")]
    pub logging_format: LoggingFormat,
}

/// A time such as `90s` or `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period(pub Duration);

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let duration: jiff::SignedDuration = text
            .parse()
            .map_err(|_| "expected a duration, such as 500ms, 30s or 1h30m".to_owned())?;
        let duration = Duration::try_from(duration).map_err(|_| "it is negative".to_owned())?;
        Ok(Self(duration))
    }
}
