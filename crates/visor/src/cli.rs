//! The command line: what can be asked for, and what it is called.

use std::{fmt, path::PathBuf, str::FromStr};

use clap::{Args, Parser, Subcommand, ValueEnum};
use strum::{IntoEnumIterator, VariantNames};
use visor_api::{
    quantity::Duration,
    source::{AccessFormat, ErrorFormat, Exponential, Interval, Mpm, Normal, StreamKind, Uniform},
};

use visor_http::{ListenAddress, ParseListenAddressError};

use crate::{prepare::Owner, start::Start};

/// Fake but faithful Apache logs, every kind of line on its own clock.
#[derive(Debug, Parser)]
#[command(name = "visor", version, about, long_about = None, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// How diagnostics are written to standard error. VISOR_LOG sets their level, such as `debug`
    /// or `warn`.
    // Its first name, which here is Apache's for something else, is taken until the next release.
    #[arg(
        long,
        alias = "log-format",
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub(crate) diagnostics: Diagnostics,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the log sources of documents, all at once.
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunOptions),
    /// Writes the lines of one log, without a document.
    #[command(after_help = EMIT_EXAMPLES)]
    Emit(EmitOptions),
    /// Checks documents and says every problem with its file, line and path.
    #[command(after_help = VALIDATE_EXAMPLES)]
    Validate(Validate),
    /// Makes a directory, and those above it that are missing, and gives it to its owner.
    #[command(hide = true, after_help = PREPARE_DIRECTORY_HELP)]
    PrepareDirectory(PrepareDirectory),
    /// Prints a shell's completions.
    #[command(after_help = "Example:\n  visor completions bash > /etc/bash_completion.d/visor")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Prints the manual page, or writes one for each command into a directory.
    Man {
        /// Where to write the pages.
        #[arg(long, value_name = "DIR")]
        output_dir: Option<PathBuf>,
    },
}

const RUN_EXAMPLES: &str = "\
Examples:
  visor run -f shop.yaml
      Runs the shop's logs, files below ./logs, metrics at http://127.0.0.1:9464/metrics.
  kubectl get fakelogsource shop -o yaml | visor run -f -
      Runs what a cluster runs.
  visor run -f shop.yaml --simulate --start 2026-01-01T00:00:00Z --for 24h
      Writes the logs of a day as fast as the machine can.

Signals: SIGHUP reads the documents again and reopens all files; SIGTERM and SIGINT end the run
when every line is whole; a second one ends it at once.";

const VALIDATE_EXAMPLES: &str = "\
Examples:
  visor validate -f shop.yaml
      Says `valid: shop`, or each problem as FILE:LINE: PATH: what is wrong and what to do.
  kustomize build . | visor validate -f -
      Checks what would be applied.

Exits with 0 if all is well, with 1 if not.";

const PREPARE_DIRECTORY_HELP: &str = "\
Example:
  visor prepare-directory --owner 65532:65532 /var/log/visor/shop-0

For a pod: it runs as root on a directory of the node before the generator, which is no root. If the
directory is there already, only its owner is set. A symbolic link in its place is refused.";

const EMIT_EXAMPLES: &str = "\
Examples:
  visor emit access
      A thousand lines in the Combined format.
  visor emit access --format VhostCombined --rate 500
      Five hundred lines a second until Ctrl-C.
  visor emit access --format '%h %t \"%r\" %>s %D' --unlimited | head -c 1G > access.log
      As many as the pipe takes, in a format of your own.
  visor emit error --interval exponential:200ms --for 1m -o error.log
      Errors that arrive by chance for a minute, into a file.
  visor emit access --seed 42 --start 2026-01-01T00:00:00Z --for 1h
      The lines of an hour, at once; the same bytes every time.
  visor emit access --format '%h %t \"%r\" %>s %{X-Tenant}i' --set '%{X-Tenant}i=acme'
      A header of your own.

Lines are never left out while the reader stalls: they come late, stamped with the time they were
due. What --for leaves no time for is left out, and how much that is, is said.";

#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// A file of FakeLogSource documents; `-` for standard input. Can be given several times.
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    pub(crate) file: Vec<PathBuf>,

    /// Where file outputs go.
    #[arg(long, value_name = "DIR", default_value = "./logs")]
    pub(crate) output_dir: PathBuf,

    /// How many event loops to spread the generators over.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: u16,

    /// Where to serve /metrics, /livez and /readyz: an address and a port, `:PORT` for all addresses,
    /// `none` for nowhere; port 0 is any free one.
    /// [default: 127.0.0.1:9464; simulated runs: none]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<Listen>,

    /// Write the lines of a span of time at once rather than when they are due.
    #[arg(long)]
    pub(crate) simulate: bool,

    /// When simulated time begins: a time, a day, `yesterday`, or a time ago such as -24h. Where it
    /// has no zone of its own, it is UTC. [default: now]
    #[arg(long, value_name = "TIME", requires = "simulate", allow_hyphen_values = true)]
    pub(crate) start: Option<Start>,

    /// How long to run; sources that end earlier by themselves do.
    #[arg(long = "for", value_name = "DURATION")]
    pub(crate) duration: Option<Duration>,

    /// The seed of sources that have none of their own.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,

    /// Wait for the documents to be there and good, rather than fail.
    #[arg(long, conflicts_with = "simulate")]
    pub(crate) wait: bool,

    /// Who this is among several that run the same documents, such as a pod's name: each writes
    /// lines of its own.
    #[arg(long, value_name = "NAME", env = "VISOR_IDENTITY")]
    pub(crate) identity: Option<String>,

    /// Where to write how much was written, every second and when the run ends:
    /// `{"lines":N,"bytes":N,"ended":true}`, all sources together. A pod has /dev/termination-log
    /// for it.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PrepareDirectory {
    /// Whom the directory is given to: the numbers of a user and of a group.
    #[arg(long, value_name = "UID:GID")]
    pub(crate) owner: Owner,

    /// The directory.
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// A file of FakeLogSource documents; `-` for standard input. Can be given several times.
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    pub(crate) file: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct EmitOptions {
    /// Which log.
    #[arg(value_enum)]
    pub(crate) log: Log,

    /// Common, Combined, CombinedIo, VhostCombined, Json or a LogFormat string for an access log;
    /// Httpd24 or Httpd22 for an error log. [default: Combined, Httpd24]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,

    /// A value for a directive of a LogFormat string, such as '%{X-Tenant}i=acme'. Can be given
    /// several times; a directive that is given several has one of them in each line.
    #[arg(long, value_name = "DIRECTIVE=VALUE")]
    pub(crate) set: Vec<Setting>,

    /// The multi-processing module of an error log. [default: Event]
    #[arg(long, value_name = "MPM", value_parser = parse_mpm)]
    pub(crate) mpm: Option<Mpm>,

    /// The level of an error log's lines, such as `warn`. [default: error]
    #[arg(long, value_name = "LEVEL", value_parser = parse_level)]
    pub(crate) level: Option<StreamKind>,

    /// How many lines. [default: 1000 if nothing else says when to end or how fast to go]
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=i64::MAX as u64))]
    pub(crate) lines: Option<u64>,

    /// For how long.
    #[arg(long = "for", value_name = "DURATION")]
    pub(crate) duration: Option<Duration>,

    /// Lines a second, evenly spaced.
    #[arg(long, value_name = "LINES", group = "pace", value_parser = clap::value_parser!(i32).range(1..=100_000_000))]
    pub(crate) rate: Option<i32>,

    /// The law of the time between two lines: fixed:3s, uniform:5ms-50ms, exponential:20ms or
    /// normal:5ms,2ms (mean, standard deviation).
    #[arg(long, value_name = "LAW", group = "pace")]
    pub(crate) interval: Option<IntervalLaw>,

    /// As fast as the output takes them.
    #[arg(long, group = "pace")]
    pub(crate) unlimited: bool,

    /// How long after the start the first line is due; 0s is at once. [default: after one interval,
    /// or half of one where all are the same]
    #[arg(long, value_name = "DURATION")]
    pub(crate) initial_delay: Option<Duration>,

    /// The seed: the same one draws the same lines.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub(crate) seed: Option<u64>,

    /// Stamp the lines from this time on, and write them at once: a time, a day, `yesterday`, or a
    /// time ago such as -24h. Where it has no zone of its own, it is that of --time-zone.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) start: Option<Start>,

    /// The time zone of the stamps, such as Europe/Berlin; `local` for this machine's.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub(crate) time_zone: String,

    /// A file to write to instead of standard output; lines are appended. `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Log {
    /// An access log.
    Access,
    /// An error log.
    Error,
}

/// How diagnostics are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Diagnostics {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Where to serve metrics.
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

/// A law as the command line writes it: `exponential:20ms`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct IntervalLaw(pub(crate) Interval);

impl FromStr for IntervalLaw {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str =
            "write fixed:3s, uniform:5ms-50ms, exponential:20ms or normal:5ms,2ms";
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

/// A value for a directive: `%{X-Tenant}i=acme`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) directive: String,
    pub(crate) value: String,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "write a directive of the format and its value: '%{X-Tenant}i=acme'";
        // A name may have an equals sign in it; the directive ends behind its braces.
        let braces = text.find('}').ok_or(EXPECTED)?;
        let equals = braces + text[braces..].find('=').ok_or(EXPECTED)?;
        Ok(Self { directive: text[..equals].to_owned(), value: text[equals + 1..].to_owned() })
    }
}

/// An access log's format: a name, or a format string.
pub(crate) fn access_format(text: &str) -> Result<(AccessFormat, Option<String>), String> {
    match named(text) {
        Some(format) if format != AccessFormat::Custom => Ok((format, None)),
        _ if text.contains('%') => Ok((AccessFormat::Custom, Some(text.to_owned()))),
        _ => {
            let names = AccessFormat::VARIANTS.iter().filter(|name| **name != "Custom");
            Err(format!(
                "`{text}` is no format; use {}, or a LogFormat string such as \
                 '%h %l %u %t \"%r\" %>s %b'",
                names.copied().collect::<Vec<_>>().join(", ")
            ))
        }
    }
}

/// An error log's format by its name.
pub(crate) fn error_format(text: &str) -> Result<ErrorFormat, String> {
    let names = ErrorFormat::VARIANTS.join(" or ");
    named(text).ok_or_else(|| format!("`{text}` is no format of an error log; use {names}"))
}

/// What has this name: in any case, and with underscores where httpd's own configuration has them.
fn named<T: FromStr>(name: &str) -> Option<T> {
    name.replace('_', "").parse().ok()
}

fn parse_mpm(text: &str) -> Result<Mpm, String> {
    named(text).ok_or_else(|| format!("write one of {}", Mpm::VARIANTS.join(", ")))
}

fn parse_level(text: &str) -> Result<StreamKind, String> {
    named(text).filter(|kind: &StreamKind| kind.is_level()).ok_or_else(|| {
        let levels = StreamKind::iter().filter(|kind| kind.is_level()).map(StreamKind::as_str);
        format!("write a level of httpd: {}", levels.collect::<Vec<_>>().join(", "))
    })
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn laws_are_read_and_others_refused() {
        let law = |text: &str| text.parse::<IntervalLaw>().map(|law| law.0);
        let millis = Duration::from_millis;
        assert_eq!(law("fixed:3s"), Ok(Interval::Fixed(millis(3000))));
        assert_eq!(
            law("uniform:5ms-50ms"),
            Ok(Interval::Uniform(Uniform { min: millis(5), max: millis(50) }))
        );
        assert_eq!(
            law("normal:5ms,2ms"),
            Ok(Interval::Normal(Normal { mean: millis(5), standard_deviation: millis(2) }))
        );
        for text in ["", "fixed", "fixed:", "fixed:-3s", "uniform:5ms", "poisson:3s"] {
            assert!(law(text).is_err(), "{text}");
        }
    }
}
