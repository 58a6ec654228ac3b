//! The command line.

pub(crate) mod numbers;

use std::{ffi::OsString, path::PathBuf, str::FromStr};

use clap::{
    Args, Parser, Subcommand, ValueEnum, ValueHint,
    builder::{PossibleValuesParser, TypedValueParser},
};
use strum::{IntoEnumIterator, VariantNames};
use visor_api::{
    log_format,
    quantity::Duration,
    source::{
        AccessFormat, AccessLog, ErrorFormat, Exponential, Interval, Mpm, Normal, Release,
        StreamKind, Uniform,
    },
};

use visor_http::{ListenAddress, ParseListenAddressError};
use visor_proof::{delivery::FaultKind, verdict::Form};
use visor_runtime::logging::LoggingFormat;

use crate::{prepare::Owner, start::Start};
use numbers::{LineCount, RateArgument};

/// Fake Apache logs, each kind of line on its own random schedule
#[derive(Debug, Parser)]
#[command(name = "visor", version, about, long_about = None, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// The format of Visor's own diagnostics on standard error. VISOR_LOG sets their level, such as
    /// `debug` or `warn`
    #[arg(long, global = true, value_enum, default_value_t = LoggingFormat::Text, value_name = "FORMAT")]
    pub(crate) logging_format: LoggingFormat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the log sources of documents
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunOptions),
    /// Write the lines of one log, without a document
    #[command(after_help = EMIT_EXAMPLES)]
    Emit(EmitOptions),
    /// Check documents and report every problem with its file, line and path
    #[command(after_help = VALIDATE_EXAMPLES)]
    Validate(Validate),
    /// Tell which lines of an output arrived elsewhere
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(VerifyOptions),
    /// Take what log collectors send, and tell which lines arrived. This is the program visor-sink
    #[command(disable_help_flag = true)]
    Sink {
        /// Options of visor-sink; `--help` describes them
        #[arg(
            value_name = "OPTION",
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_hint = ValueHint::Other
        )]
        arguments: Vec<OsString>,
    },
    /// Create a directory with its parents, and change its owner
    #[command(hide = true, after_help = PREPARE_DIRECTORY_HELP)]
    PrepareDirectory(PrepareDirectory),
    /// Print shell completions
    #[command(after_help = "Example:\n  visor completions bash > /etc/bash_completion.d/visor")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the reference of flags and metrics as Markdown
    #[command(hide = true)]
    Reference,
    /// Print the manual page, or write one for each command into a directory
    Man {
        /// Where to write the pages
        #[arg(long, value_name = "DIR")]
        output_dir: Option<PathBuf>,
    },
}

const RUN_EXAMPLES: &str = "\
Examples:
  visor run -f shop.yaml
      Runs a source, with files below ./logs and metrics at http://127.0.0.1:9464/metrics.
  kubectl get fakelogsource shop -o yaml | visor run -f -
      Runs a source of a cluster.
  visor run -f shop.yaml --simulate --start 2026-01-01T00:00:00Z --for 24h
      Writes the logs of a day as fast as possible.

Signals: SIGHUP reloads the documents and reopens all files; SIGTERM and SIGINT end the run
after the current lines; a second signal ends it immediately.";

const VALIDATE_EXAMPLES: &str = "\
Examples:
  visor validate -f shop.yaml
      Prints `valid: shop`, or each problem as FILE:LINE: PATH: MESSAGE.
  kustomize build . | visor validate -f -
      Checks manifests before they are applied.

Exit status: 0 if all documents are valid, 1 otherwise.";

const VERIFY_EXAMPLES: &str = "\
Examples:
  visor emit access --tokens --report emitted.json -o access.log
  sed 500d access.log > delivered.log
  visor verify --emitted emitted.json delivered.log
      Says that one line is missing, and which.
  visor verify --emitted http://127.0.0.1:9464/emitted --output json /srv/collected
      Compares the files of a directory with what a generator has written so far.

Exit status: 0 if all lines arrived once and intact, 1 if something happened to a line, 2 if an
input or an option is wrong, 3 if it can't be told.";

const PREPARE_DIRECTORY_HELP: &str = "\
Example:
  visor prepare-directory --owner 65532:65532 /var/log/visor/shop-0

For hostPath volumes of pods: it runs as root before the generator, which doesn't. If the
directory exists, only its owner is changed. A symbolic link is rejected.";

const EMIT_EXAMPLES: &str = "\
Examples:
  visor emit access
      Writes 1000 lines in the Combined format.
  visor emit access --format VhostCombined --rate 500
      Writes 500 lines per second until Ctrl-C.
  visor emit access --format '%h %t \"%r\" %>s %D' --unlimited | head -c 1G > access.log
      Writes as fast as the pipe accepts lines, in a custom format.
  visor emit error --interval exponential:200ms --for 1m -o error.log
      Writes errors at random times for a minute, into a file.
  visor emit error --format '[%{cu}t] [%-m:%l] %E: [client\\ %a] %M'
      Writes errors in a custom format.
  visor emit access --seed 42 --start 2026-01-01T00:00:00Z --for 1h
      Writes the lines of an hour immediately; the same bytes every time.
  visor emit access --format '%h %t \"%r\" %>s %{X-Tenant}i' --set '%{X-Tenant}i=acme'
      Writes a custom header.

Lines are never skipped while the reader stalls: they are written late, stamped with the time they
were due. Lines for which --for leaves no time are skipped, and their number is reported.";

#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// A file of FakeLogSource documents, `-` for standard input. Can be given several times
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    pub(crate) file: Vec<PathBuf>,

    /// The directory for file outputs
    #[arg(long, value_name = "DIR", default_value = "./logs")]
    pub(crate) output_dir: PathBuf,

    /// The number of event loops
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024), value_hint = ValueHint::Other)]
    pub(crate) threads: u16,

    /// The address that serves /metrics, /counts, /emitted, /livez and /readyz: an address and a
    /// port, `:PORT` for all addresses, or `none`; port 0 is any free one [default: 127.0.0.1:9464;
    /// simulated runs: none]
    #[arg(long, value_name = "ADDRESS", value_hint = ValueHint::Other)]
    pub(crate) listen: Option<Listen>,

    /// Write the lines of a period immediately rather than when they are due
    #[arg(long)]
    pub(crate) simulate: bool,

    /// When simulated time starts: a time, a date, `yesterday`, or a duration ago such as -24h.
    /// Without a time zone it is in UTC [default: now]
    #[arg(long, value_name = "TIME", requires = "simulate", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub(crate) start: Option<Start>,

    /// How long to run; sources with an earlier end stop then
    #[arg(long = "for", value_name = "DURATION", value_hint = ValueHint::Other)]
    pub(crate) duration: Option<Duration>,

    /// The seed of sources that have none
    #[arg(long, value_name = "NUMBER", value_hint = ValueHint::Other)]
    pub(crate) seed: Option<u64>,

    /// Wait until the documents exist and are valid
    #[arg(long, conflicts_with = "simulate")]
    pub(crate) wait: bool,

    /// The name of this instance, such as the pod's name. It is mixed into the seeds, so that
    /// replicas write different lines
    #[arg(long, value_name = "NAME", env = "VISOR_IDENTITY", value_hint = ValueHint::Other)]
    pub(crate) identity: Option<String>,

    /// Write what has been emitted to this file, every second and at the end, as JSON: the lines and
    /// bytes of all sources together, and the lanes of lines with tokens. In a pod,
    /// /dev/termination-log, where not all lanes may have room
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PrepareDirectory {
    /// The owner: user id and group id
    #[arg(long, value_name = "UID:GID", value_hint = ValueHint::Other)]
    pub(crate) owner: Owner,

    /// The directory
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// A file of FakeLogSource documents, `-` for standard input. Can be given several times
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    pub(crate) file: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct EmitOptions {
    /// The log
    #[arg(value_enum)]
    pub(crate) log: Log,

    /// Of an access log: Common, Combined, CombinedIo, VhostCombined, Json, NginxCombined, a string of
    /// Apache's LogFormat or of nginx's log_format. Of an error log: Httpd24, Httpd22 or a string of
    /// Apache's ErrorLogFormat [default: Combined, Httpd24]
    #[arg(long, value_name = "FORMAT", value_hint = ValueHint::Other)]
    pub(crate) format: Option<String>,

    /// A value of a directive of a LogFormat string, such as '%{X-Tenant}i=acme'. Can be given
    /// several times; each line has one of the values of a directive
    #[arg(long, value_name = "DIRECTIVE=VALUE", value_hint = ValueHint::Other)]
    pub(crate) set: Vec<DirectiveValue>,

    /// The multi-processing module (MPM) of an error log [default: Event]
    #[arg(long, value_name = "MPM", ignore_case = true, value_parser = mpms())]
    pub(crate) mpm: Option<Mpm>,

    /// The level of an error log's lines, such as `warn` [default: error]
    #[arg(long, value_name = "LEVEL", ignore_case = true, value_parser = levels())]
    pub(crate) level: Option<StreamKind>,

    /// The number of lines, such as 1000, 10k or 1M [default: 1000 if no option sets a duration or a
    /// rate]
    #[arg(short = 'n', long, value_name = "N", value_hint = ValueHint::Other)]
    pub(crate) lines: Option<LineCount>,

    /// How long to run
    #[arg(long = "for", value_name = "DURATION", value_hint = ValueHint::Other)]
    pub(crate) duration: Option<Duration>,

    /// Evenly spaced lines per second, such as 500, 0.5, 10k or 30/m; or a volume such as 5MB/s, of
    /// lines of average length
    #[arg(long, value_name = "LINES", group = "timing", value_hint = ValueHint::Other)]
    pub(crate) rate: Option<RateArgument>,

    /// The distribution of the time between two lines: fixed:3s, uniform:5ms-50ms, exponential:20ms
    /// or normal:5ms,2ms (mean, standard deviation)
    #[arg(long, value_name = "DISTRIBUTION", group = "timing", value_hint = ValueHint::Other)]
    pub(crate) interval: Option<IntervalArgument>,

    /// As fast as the output accepts lines
    #[arg(long, group = "timing")]
    pub(crate) unlimited: bool,

    /// The time from the start to the first line; 0s is immediately [default: one interval, or half
    /// of one if it is constant]
    #[arg(long, value_name = "DURATION", value_hint = ValueHint::Other)]
    pub(crate) initial_delay: Option<Duration>,

    /// The release of httpd that writes the log [default: 2.4.71, or 2.2.34 with the format Httpd22]
    #[arg(long, value_parser = releases(), value_name = "RELEASE")]
    pub(crate) release: Option<Release>,

    /// The seed: the same options with the same seed write the same lines. With another format, the
    /// requests are others, too
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64), value_hint = ValueHint::Other)]
    pub(crate) seed: Option<u64>,

    /// Add a token to each line, by which `visor verify` tells what a collector delivered
    #[arg(long)]
    pub(crate) tokens: bool,

    /// Write what has been emitted to this file, every second and at the end, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    /// When simulated time starts, whose lines are written immediately: a time, a date, `yesterday`,
    /// or a duration ago such as -24h. Without a time zone it is in that of --time-zone. With a rate
    /// or an interval, and neither -n nor --for, it ends now. A request is stamped with its begin,
    /// which may be earlier by its duration
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_hint = ValueHint::Other)]
    pub(crate) start: Option<Start>,

    /// The time zone of the time stamps, such as Europe/Berlin; `local` for this machine's
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_hint = ValueHint::Other)]
    pub(crate) time_zone: String,

    /// A file to append to instead of standard output; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyOptions {
    /// What arrived: files, directories of files, or `-` for standard input. Files that gzip has
    /// compressed are decompressed
    #[arg(value_name = "FILE", required = true)]
    pub(crate) inputs: Vec<PathBuf>,

    /// What was emitted: a file that `--report` has written, or the URL of a generator's page, such as
    /// `http://127.0.0.1:9464/emitted`. Can be given several times
    #[arg(long, value_name = "FILE|URL")]
    pub(crate) emitted: Vec<String>,

    /// The form of the verdict
    #[arg(long, value_enum, default_value_t = Form::Table, value_name = "FORMAT")]
    pub(crate) output: Form,

    /// A count that is no fault here. Can be given several times
    #[arg(long, value_enum, value_name = "COUNT")]
    pub(crate) allow: Vec<FaultKind>,

    /// The name of a field, in JSON or CSV, that has lines as they were written. Without it, a field is
    /// one if at least 1 % of its texts with a token are intact lines
    #[arg(long, value_name = "FIELD", value_hint = ValueHint::Other)]
    pub(crate) raw: Vec<String>,

    /// The name of a field that has something else than lines as they were written, so only their
    /// tokens can be checked
    #[arg(long, value_name = "FIELD", value_hint = ValueHint::Other)]
    pub(crate) unchecked: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Log {
    /// An access log
    Access,
    /// An error log
    Error,
}

/// The address of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listen {
    Nowhere,
    At(ListenAddress),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(Self::Nowhere);
        }
        let parsed = text.parse().map(Self::At);
        parsed.map_err(|error: ParseListenAddressError| format!("{error}, or `none`"))
    }
}

/// An interval as a command line argument: `exponential:20ms`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct IntervalArgument(pub(crate) Interval);

impl FromStr for IntervalArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str =
            "expected fixed:3s, uniform:5ms-50ms, exponential:20ms or normal:5ms,2ms";
        let (name, values) = text.split_once(':').ok_or(EXPECTED)?;
        let duration = |text: &str| text.parse::<Duration>().map_err(|error| error.to_string());
        let two = |separator| {
            let (first, second) = values.split_once(separator).ok_or(EXPECTED)?;
            Ok::<_, String>((duration(first)?, duration(second)?))
        };
        Ok(Self(match name {
            "fixed" => Interval::Fixed(duration(values)?),
            "uniform" => {
                let (min, max) = two('-')?;
                Interval::Uniform(Uniform { min, max })
            }
            "exponential" => Interval::Exponential(Exponential { mean: duration(values)? }),
            "normal" => {
                let (mean, standard_deviation) = two(',')?;
                Interval::Normal(Normal { mean, standard_deviation })
            }
            _ => return Err(EXPECTED.to_owned()),
        }))
    }
}

/// A value of a directive: `%{X-Tenant}i=acme`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DirectiveValue {
    pub(crate) directive: String,
    pub(crate) value: String,
}

impl FromStr for DirectiveValue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str =
            "expected a directive of the format and its value: '%{X-Tenant}i=acme'";
        // A name may contain an equals sign; the directive ends after its braces.
        let braces = text.find('}').ok_or(EXPECTED)?;
        let equals = braces + text[braces..].find('=').ok_or(EXPECTED)?;
        Ok(Self { directive: text[..equals].to_owned(), value: text[equals + 1..].to_owned() })
    }
}

/// An access log in a format: a name, or a format string of Apache or nginx.
pub(crate) fn access_format(text: &str) -> Result<AccessLog, String> {
    let log = |format| AccessLog { format, ..AccessLog::default() };
    match named(text) {
        Some(format) if !matches!(format, AccessFormat::Custom | AccessFormat::NginxCustom) => {
            Ok(log(format))
        }
        _ if text.contains('$') && (!text.contains('%') || log_format::parse(text).is_err()) => {
            Ok(AccessLog { nginx_log_format: Some(text.into()), ..log(AccessFormat::NginxCustom) })
        }
        _ if text.contains('%') => {
            Ok(AccessLog { log_format: Some(text.into()), ..log(AccessFormat::Custom) })
        }
        _ => {
            let names = AccessFormat::VARIANTS.iter().filter(|name| !name.contains("Custom"));
            Err(format!(
                "unknown format `{text}`; use {}, a LogFormat string such as \
                 '%h %l %u %t \"%r\" %>s %b', or a log_format string of nginx such as \
                 '$remote_addr [$time_local] $status'",
                names.copied().collect::<Vec<_>>().join(", ")
            ))
        }
    }
}

/// The format of an error log: a name, or a format string.
pub(crate) fn error_format(text: &str) -> Result<(ErrorFormat, Option<String>), String> {
    match named(text) {
        Some(format) if format != ErrorFormat::Custom => Ok((format, None)),
        _ if text.contains('%') => Ok((ErrorFormat::Custom, Some(text.to_owned()))),
        _ => {
            let names = ErrorFormat::VARIANTS.iter().filter(|name| **name != "Custom");
            Err(format!(
                "unknown format `{text}` of an error log; use {}, or an ErrorLogFormat string such \
                 as '[%t] [%l] %M'",
                names.copied().collect::<Vec<_>>().join(", ")
            ))
        }
    }
}

/// The variant with this name: case-insensitive, and with underscores as in httpd's configuration.
fn named<T: FromStr>(name: &str) -> Option<T> {
    name.replace('_', "").parse().ok()
}

fn mpms() -> impl TypedValueParser<Value = Mpm> {
    PossibleValuesParser::new(Mpm::VARIANTS).try_map(|name| name.parse::<Mpm>())
}

fn releases() -> impl TypedValueParser<Value = Release> {
    PossibleValuesParser::new(Release::VARIANTS.iter().rev().copied())
        .try_map(|name| name.parse::<Release>())
}

fn levels() -> impl TypedValueParser<Value = StreamKind> {
    let levels = StreamKind::iter().filter(|kind| kind.is_level()).map(StreamKind::as_str);
    PossibleValuesParser::new(levels).try_map(|name| name.parse::<StreamKind>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    /// A shell offers files for an option only if its value is one.
    #[test]
    fn completions_offer_files_where_there_are_files() {
        for command in Cli::command().get_subcommands() {
            for option in
                command.get_arguments().filter(|option| option.get_action().takes_values())
            {
                let name = option.get_value_names().map_or("", |names| names[0].as_str());
                let is_file = ["FILE", "DIR", "FILE|URL"].contains(&name);
                let is_listed = !option.get_possible_values().is_empty();
                let offers_files = option.get_value_hint() != ValueHint::Other && !is_listed;
                assert_eq!(offers_files, is_file, "{} {}", command.get_name(), option.get_id());
            }
        }
    }

    #[test]
    fn intervals_are_parsed_and_others_rejected() {
        let interval = |text: &str| text.parse::<IntervalArgument>().map(|interval| interval.0);
        let millis = Duration::from_millis;
        assert_eq!(interval("fixed:3s"), Ok(Interval::Fixed(millis(3000))));
        assert_eq!(
            interval("uniform:5ms-50ms"),
            Ok(Interval::Uniform(Uniform { min: millis(5), max: millis(50) }))
        );
        assert_eq!(
            interval("normal:5ms,2ms"),
            Ok(Interval::Normal(Normal { mean: millis(5), standard_deviation: millis(2) }))
        );
        for text in ["", "fixed", "fixed:", "fixed:-3s", "uniform:5ms", "poisson:3s"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }
}
