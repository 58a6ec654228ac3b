//! `visor emit`: converts its options into a document, which is then run like any other.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use visor_api::{
    FakeLogSource, Problem, ResolvedSource,
    bounded::Bounded,
    quantity::Duration,
    rules,
    source::{
        AccessLog, Choice, DirectiveValues, ErrorLog, FakeLogSourceSpec, FileOutput, Generator,
        Interval, LinesPerSecond, Mpm, Output, Rate, RequestChoices, Server, StandardStream,
        StopAfter, Stream, StreamKind, Unlimited, Weight,
    },
    time_zone,
};
use visor_engine::{random::Seed, text::Lines, time::Time};

use crate::cli::{
    EmitOptions, Log, access_format, error_format,
    numbers::{self, RateArgument},
};

/// The default number of lines, as in flog.
const DEFAULT_LINES: i64 = 1000;

/// A document, and where its output goes.
pub(crate) struct EmitPlan {
    pub(crate) source: ResolvedSource,
    pub(crate) output_dir: PathBuf,
    /// When simulated time starts, if the lines are stamped from a given time on.
    pub(crate) simulated_from: Option<Time>,
    /// Values that may not be what was meant.
    pub(crate) notes: Vec<String>,
}

/// How many lines the average length of a line is taken from, for a rate in bytes.
const SAMPLE_LINES: u32 = 10_000;

impl EmitOptions {
    /// The document for the options.
    ///
    /// # Errors
    ///
    /// What is wrong with the options, one sentence each.
    pub(crate) fn plan(&self) -> Result<EmitPlan, String> {
        if self.duration == Some(Duration::default()) {
            return Err("--for must be more than 0s".into());
        }
        let zone_name = self.time_zone()?;
        let zone = time_zone::named(&zone_name).map_err(|error| format!("--time-zone: {error}"))?;
        let start = self.start.map(|start| start.time(&zone, self.duration));
        let simulated_from = start.transpose().map_err(|error| error.to_string())?;
        let (output, output_dir) = self.output()?;
        let mut source = self.source(zone_name, output, simulated_from)?;
        if let Some(RateArgument::Bytes(bytes_per_second)) = self.rate {
            let interval = numbers::interval(bytes_per_second / average_length(&source)?)?;
            let mut document = source.document().clone();
            for generator in &mut document.spec.generators {
                for stream in &mut generator.streams {
                    stream.interval = Some(interval.clone());
                }
            }
            source = check(document)?;
        }
        Ok(EmitPlan { source, output_dir, simulated_from, notes: self.notes() })
    }

    fn source(
        &self,
        time_zone: String,
        output: Output,
        simulated_from: Option<Time>,
    ) -> Result<ResolvedSource, String> {
        let (of_log, kind) = match self.log {
            Log::Access => {
                if self.level.is_some() || self.mpm.is_some() {
                    return Err("--level and --mpm are options of an error log".into());
                }
                let format = self.format.as_deref().unwrap_or("Combined");
                let log = AccessLog { content: self.choices(), ..access_format(format)? };
                (Generator { access: Some(log), ..Generator::default() }, StreamKind::Access)
            }
            Log::Error => {
                if !self.set.is_empty() {
                    return Err("--set is an option of an access log".into());
                }
                let format = self.format.as_deref().map(error_format).transpose()?;
                let (format, error_log_format) = format.unzip();
                let log = ErrorLog {
                    format,
                    error_log_format: error_log_format.flatten().map(Into::into),
                    mpm: self.mpm.unwrap_or(Mpm::Event),
                    ..ErrorLog::default()
                };
                let of_log = Generator { error: Some(log), ..Generator::default() };
                (of_log, self.level.unwrap_or(StreamKind::Error))
            }
        };
        let generator = Generator {
            name: "emit".to_owned(),
            streams: vec![Stream {
                interval: self.timing(),
                initial_delay: self.initial_delay,
                ..Stream::plain(kind.as_str(), kind)
            }],
            output,
            ..of_log
        };
        let spec = FakeLogSourceSpec {
            replicas: 1,
            workload: None,
            seed: self.seed.and_then(|seed| Bounded::new(i64::try_from(seed).ok()?)),
            time_zone: time_zone.into(),
            server: self.release.map(|release| Server { release: Some(release) }),
            tokens: self.tokens,
            suspend: false,
            stop_after: self.stop_after(simulated_from),
            generators: vec![generator],
            volume: None,
            pod_template: None,
        };
        check(FakeLogSource::new("emit", spec))
    }

    /// Values that may not be what was meant.
    fn notes(&self) -> Vec<String> {
        let path = self.output.as_deref().and_then(Path::to_str).unwrap_or_default();
        let notes = rules::literal_parts(path).into_iter();
        notes.map(|note| format!("--output {path}: {note}")).collect()
    }

    /// The choices of `--set`: the values of each directive, in the list that it belongs to.
    fn choices(&self) -> RequestChoices {
        let mut choices = RequestChoices::default();
        for setting in &self.set {
            let choice = Choice { value: setting.value.clone(), weight: Weight::of::<1>() };
            match setting.directive.to_ascii_lowercase().as_str() {
                "%{referer}i" => choices.referers.push(choice),
                "%{user-agent}i" => choices.user_agents.push(choice),
                _ => push(&mut choices.directives, &setting.directive, choice),
            }
        }
        choices
    }

    /// The name of the time zone.
    fn time_zone(&self) -> Result<String, String> {
        if self.time_zone != "local" {
            return Ok(self.time_zone.clone());
        }
        let zone = jiff::tz::TimeZone::system();
        zone.iana_name().map(ToOwned::to_owned).ok_or_else(|| {
            "this machine's time zone has no name; set one such as Europe/Berlin".to_owned()
        })
    }

    /// The interval. Simulated time needs one; otherwise the default is unlimited.
    fn timing(&self) -> Option<Interval> {
        match (&self.interval, &self.rate) {
            (Some(interval), _) => Some(interval.0.clone()),
            (None, Some(RateArgument::Lines(interval))) => Some(interval.clone()),
            (None, None) if self.start.is_some() && !self.unlimited => None,
            // A placeholder: a rate in bytes is known when there are lines to measure.
            (None, Some(RateArgument::Bytes(_))) => {
                Some(Interval::Rate(Rate { lines_per_second: LinesPerSecond::of::<1>() }))
            }
            (None, None) => Some(Interval::Unlimited(Unlimited {})),
        }
    }

    /// When the lines end: as the options say; else at the present, if simulated lines have a rate and
    /// begin in the past; else after the default number.
    fn stop_after(&self, simulated_from: Option<Time>) -> Option<StopAfter> {
        let has_rate = self.interval.is_some() || self.rate.is_some();
        let lines = self.lines.map(|lines| i64::try_from(lines.0.get()).unwrap_or(i64::MAX));
        let stop = |lines: Option<i64>, duration| {
            Some(StopAfter { lines: lines.and_then(Bounded::new), duration })
        };
        match (lines, self.duration, simulated_from) {
            (None, None, Some(start)) if has_rate => match until_now(start) {
                Some(duration) => stop(None, Some(duration)),
                None => stop(Some(DEFAULT_LINES), None),
            },
            (None, None, None) if has_rate || self.unlimited => None,
            (None, None, _) => stop(Some(DEFAULT_LINES), None),
            (lines, duration, _) => stop(lines, duration),
        }
    }

    /// Standard output, or a file; its directory is separate, as for a document.
    fn output(&self) -> Result<(Output, PathBuf), String> {
        let Some(path) = self.output.as_ref().filter(|path| path.as_os_str() != "-") else {
            return Ok((Output::Stdout(StandardStream {}), PathBuf::new()));
        };
        if let Some(url) = path.to_str().filter(|path| rules::is_url(path)) {
            return Err(format!(
                "--output {url} is a URL, but lines are written to files only; to send them, write \
                 to standard output and use a pipe, such as `| nc HOST PORT`"
            ));
        }
        // A link on the command line is followed. Below an output directory none is.
        let target = if path.is_symlink() { path.canonicalize().ok() } else { None };
        let path = target.as_ref().unwrap_or(path);
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| format!("`{}` is not a file name", path.display()))?;
        let directory = path.parent().unwrap_or_else(|| Path::new(""));
        let file = FileOutput { path: name.to_owned(), rotation: None };
        Ok((Output::File(file), directory.to_path_buf()))
    }
}

/// Checks the document for the options.
fn check(document: FakeLogSource) -> Result<ResolvedSource, String> {
    let in_options =
        |problems: &[Problem]| problems.iter().map(in_options).collect::<Vec<_>>().join("\n");
    // An option without effect is a mistake.
    let notes = rules::notes(&document);
    let source = ResolvedSource::check(document).map_err(|problems| in_options(&problems))?;
    let is_set = |note: &Problem| note.path.as_str().contains(".access.");
    let unused: Vec<Problem> = notes.into_iter().filter(is_set).collect();
    if unused.is_empty() { Ok(source) } else { Err(in_options(&unused)) }
}

/// A problem in the words of the command line. Its document is generated, so neither its path nor the
/// names of fields mean anything to the user.
fn in_options(problem: &Problem) -> String {
    const OPTIONS: [(&str, &str); 12] = [
        (".logFormat", "--format"),
        (".nginxLogFormat", "--format"),
        (".errorLogFormat", "--format"),
        (".directives", "--set"),
        (".referers", "--set"),
        (".userAgents", "--set"),
        (".initialDelay", "--initial-delay"),
        (".interval", "--interval"),
        (".output", "--output"),
        (".stopAfter", "--for"),
        (".format", "--format"),
        (".kind", "--level"),
    ];
    let path = problem.path.as_str();
    let option = OPTIONS.iter().find(|(field, _)| path.contains(field));
    let option = option.map_or(path, |(_, option)| option);
    let message = problem
        .message
        .replace("`unlimited: {}`", "`--unlimited`")
        .replace("`server.release`", "`--release`")
        .replace("`logFormat`", "the format")
        .replace("use `format: Custom` with the format", "use a format string")
        .replace("add it there, or remove these values", "add it there, or remove this")
        .replace("`nginxLogFormat`", "the format")
        .replace("has no directive that shows it", "doesn't show it")
        .replace("has no variable that shows it", "doesn't show it");
    format!("{option}: {message}")
}

/// The values of a directive, each directive once.
fn push(directives: &mut Vec<DirectiveValues>, directive: &str, choice: Choice) {
    let is_same =
        |known: &&mut DirectiveValues| known.directive.as_str().eq_ignore_ascii_case(directive);
    match directives.iter_mut().find(is_same) {
        Some(known) => known.values.push(choice),
        None => {
            directives.push(DirectiveValues { directive: directive.into(), values: vec![choice] });
        }
    }
}

/// The time from `start` to the present; `None` if there is none.
fn until_now(start: Time) -> Option<Duration> {
    let elapsed = Timestamp::now().as_nanosecond() - start.timestamp().as_nanosecond();
    let elapsed = u64::try_from(elapsed).ok().filter(|elapsed| *elapsed > 0)?;
    Some(Duration::from_nanos(elapsed))
}

/// The average length of a line in bytes, of a sample.
fn average_length(source: &ResolvedSource) -> Result<f64, String> {
    let seed = Seed::new(source.seed.unwrap_or_default());
    let mut lines = Lines::default();
    let mut streams = visor_engine::log::Source::new(source.time_zone.clone(), seed);
    for generator in &source.generators {
        for stream in streams.streams(generator).map_err(|error| error.to_string())? {
            let mut stream = stream.start(Time::EPOCH);
            (0..SAMPLE_LINES).for_each(|_| stream.write(0, &mut lines));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a sample is small")]
    Ok(lines.as_bytes().len() as f64 / f64::from(SAMPLE_LINES))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use visor_api::resolved::{self, Interval};

    use super::*;
    use crate::cli::{Cli, Command};

    fn plan(arguments: &str) -> Result<EmitPlan, String> {
        let words = ["visor", "emit"].into_iter().chain(arguments.split_whitespace());
        match Cli::try_parse_from(words).unwrap().command {
            Command::Emit(options) => options.plan(),
            _ => panic!("{arguments} is no emit"),
        }
    }

    /// The limits of lines and time, and the schedule.
    fn timing(arguments: &str) -> (Option<u64>, Option<u64>, Interval) {
        let source = plan(arguments).unwrap().source;
        let interval = source.generators[0].log.timings()[0].interval.clone();
        let seconds = source.duration.map(|duration| duration.as_nanos() / 1_000_000_000);
        (source.lines.map(Into::into), seconds, interval)
    }

    #[test]
    fn defaults_are_those_of_flog() {
        assert_eq!(timing("access"), (Some(1000), None, Interval::Unlimited));
        assert_eq!(timing("error -n 5"), (Some(5), None, Interval::Unlimited));
        let rate = Interval::Rate(7.try_into().unwrap());
        assert_eq!(timing("access --rate 7"), (None, None, rate.clone()));
        assert_eq!(timing("access --rate 7 --for 3s"), (None, Some(3), rate));
        let (lines, seconds, interval) = timing("access --start 2026-01-01T00:00:00Z");
        assert_eq!((lines, seconds), (Some(1000), None));
        assert!(matches!(interval, Interval::Exponential(_)));
    }

    #[test]
    fn a_file_s_directory_and_its_name_are_apart() {
        let made = plan("access -n 1 -o some/where/access.log").unwrap();
        assert_eq!(made.output_dir, Path::new("some/where"));
        assert_eq!(made.source.generators[0].output.name(), "access.log");
        let made = plan("access -n 1 -o -").unwrap();
        assert_eq!(made.source.generators[0].output, resolved::Output::Stdout);
        assert!(plan("access -o ..").is_err());
    }

    #[test]
    fn a_symbolic_link_is_followed() {
        let home = tempfile::tempdir().unwrap();
        let (file, link) = (home.path().join("there.log"), home.path().join("link"));
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let arguments = format!("access -n 1 -o {}", link.display());
        assert_eq!(plan(&arguments).unwrap().source.generators[0].output.name(), "link");
        std::fs::write(&file, "").unwrap();
        let made = plan(&arguments).unwrap();
        assert_eq!(made.source.generators[0].output.name(), "there.log");
        assert_eq!(made.output_dir, home.path().canonicalize().unwrap());
    }

    #[test]
    fn options_of_the_other_log_are_rejected() {
        for (arguments, named) in [
            ("access --level info", "--level"),
            ("access --mpm prefork", "--mpm"),
            ("error --set %{X}i=a", "--set"),
            ("error --format combined", "combined"),
            ("access --format httpd24", "httpd24"),
            ("access --format %Z", "%Z"),
        ] {
            let message = plan(arguments).err().unwrap();
            assert!(message.contains(named), "{arguments}: {message}");
        }
    }

    /// Each mistake beside its message, which has the words of the command line alone.
    #[test]
    fn messages_are_about_options() {
        for (arguments, wanted) in [
            ("access --for 0s", "--for must be more than 0s"),
            (
                "access --interval fixed:0s",
                "--interval: must be more than 0s; for lines without pauses use `--unlimited`",
            ),
            (
                "access --interval uniform:5s-1s",
                "--interval: must not be more than `max` (1s); found 5s",
            ),
            (
                "access --interval exponential:0s",
                "--interval: must be more than 0s; for lines without pauses use `--unlimited`",
            ),
            (
                "access --interval normal:0s,0s",
                "--interval: `mean` and `standardDeviation` are both 0s; for lines without pauses use `--unlimited`",
            ),
            (
                "access --unlimited --initial-delay 1s",
                "--initial-delay: has no effect on an unlimited stream; remove it, or use another interval",
            ),
            (
                "access --format %Z",
                "--format: unknown directive `%Z` at character 1; see the documentation of mod_log_config, and write `%%` for a percent sign",
            ),
            (
                "access --set %{X}i=a",
                "--set: only a custom format has directives with values; use a format string, or remove them",
            ),
            (
                "access --format %h --set %{X}i=a",
                "--set: the format has no `%{X}i`; add it there, or remove this",
            ),
            (
                "access --format %{X-Tenant}i --set %{X-Tenan}i=a",
                "--set: the format has no `%{X-Tenan}i`; did you mean the name `X-Tenant`?",
            ),
            (
                "access --format %h --set %{Referer}i=a",
                "--set: has no effect: the format doesn't show it",
            ),
            (
                "access --format Common --set %{User-Agent}i=a",
                "--set: has no effect: the format Common doesn't show it",
            ),
            (
                "error --release 2.2.34 --format httpd24",
                "--format: httpd 2.2.34 has the format Httpd22; remove this, or change `--release`",
            ),
            (
                "error --release 2.2.34 --level trace1",
                "--level: httpd 2.2 has no levels of trace; use Debug, or a release of 2.4",
            ),
            (
                "access --time-zone Mars",
                "--time-zone: unknown time zone `Mars`; use a name such as `UTC` or `Europe/Berlin`",
            ),
            (
                "access -o tcp://127.0.0.1:514",
                "--output tcp://127.0.0.1:514 is a URL, but lines are written to files only; to send them, write to standard output and use a pipe, such as `| nc HOST PORT`",
            ),
        ] {
            assert_eq!(plan(arguments).err().as_deref(), Some(wanted), "{arguments}");
        }
    }

    #[test]
    fn paths_that_are_literal_are_noted() {
        for path in ["access-%Y.log", "~/x.log", "a.log.gz", "${POD_NAME}.log", "~/logs/a.log"] {
            let made = plan(&format!("access -n 1 -o {path}")).unwrap();
            assert_eq!(made.notes.len(), 1, "{path}");
            assert!(made.notes[0].contains(path), "{:?}", made.notes);
        }
        assert!(plan("access -n 1 -o a.log").unwrap().notes.is_empty());
        assert!(plan("access -n 1").unwrap().notes.is_empty());
    }

    #[test]
    fn rates_may_be_fractions_and_volumes() {
        let every = |nanos: u64| Interval::Fixed(Duration::from_nanos(nanos));
        assert_eq!(timing("access --rate 0.5").2, every(2_000_000_000));
        assert_eq!(timing("access --rate 10k").2, Interval::Rate(10_000.try_into().unwrap()));
        assert_eq!(timing("access -n 1k").0, Some(1000));
        // A Combined line has 100 to 400 bytes.
        let Interval::Rate(rate) = timing("access --rate 5MB/s --format %h").2 else { panic!() };
        assert!((300_000..700_000).contains(&rate.get()), "{rate}");
        // A rate in bytes is a rate: unlike unlimited lines it can begin later.
        let made = timing("access --rate 5MB/s --format %h --initial-delay 1s");
        assert_eq!(made.2, Interval::Rate(rate));
    }

    #[test]
    fn the_past_ends_at_the_present() {
        for arguments in ["access --start -1h --rate 1", "error --start -1h --interval fixed:1s"] {
            let (lines, seconds, _) = timing(arguments);
            assert_eq!(lines, None);
            assert!(seconds.is_some_and(|seconds| (3600..3660).contains(&seconds)), "{seconds:?}");
        }
        assert_eq!(timing("access --start -1h --rate 1 -n 7").0, Some(7));
        assert_eq!(timing("access --start 2200-01-01 --rate 1").0, Some(1000));
        assert_eq!(timing("access --start -1h --unlimited").0, Some(1000));
    }

    #[test]
    fn values_of_headers_with_lists_of_their_own_are_set() {
        let made = plan("access --set %{User-Agent}i=one --set %{referer}i=two").unwrap();
        let resolved::Log::Access(log) = &made.source.generators[0].log else { panic!() };
        let first = |list: &Option<resolved::Choices<String>>| {
            list.as_ref().unwrap().iter().next().unwrap().0.clone()
        };
        assert_eq!(first(&log.requests.user_agents), "one");
        assert_eq!(first(&log.requests.referers), "two");
    }

    #[test]
    fn simulated_time_begins_at_the_given_time_in_the_given_zone() {
        let made = plan("access --start 2026-01-01 --time-zone Europe/Berlin").unwrap();
        let start = made.simulated_from.unwrap().timestamp();
        assert_eq!(start.to_string(), "2025-12-31T23:00:00Z");
        assert!(plan("access").unwrap().simulated_from.is_none());
    }
}
