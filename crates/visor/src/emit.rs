//! `visor emit`: converts its options into a document, which is then run like any other.

use std::path::{Path, PathBuf};

use visor_api::{
    FakeLogSource, Problem, ResolvedSource,
    source::{
        AccessLog, Choice, DirectiveValues, ErrorLog, FakeLogSourceSpec, FileOutput, Generator,
        Interval, Mpm, Output, Rate, StandardStream, StopAfter, Stream, StreamKind, Unlimited,
    },
};
use visor_engine::time::Time;

use crate::cli::{EmitOptions, Log, access_format, error_format};

/// The default number of lines, as in flog.
const DEFAULT_LINES: u64 = 1000;

/// A document, and where its output goes.
pub(crate) struct EmitPlan {
    pub(crate) source: ResolvedSource,
    pub(crate) output_dir: PathBuf,
    /// When simulated time starts, if the lines are stamped from a given time on.
    pub(crate) simulated_from: Option<Time>,
}

impl EmitOptions {
    /// The document for the options.
    ///
    /// # Errors
    ///
    /// What is wrong with the options, one sentence each.
    pub(crate) fn plan(&self) -> Result<EmitPlan, String> {
        let (access, error, kind) = match self.log {
            Log::Access => {
                if self.level.is_some() || self.mpm.is_some() {
                    return Err("--level and --mpm are options of an error log".into());
                }
                let format = self.format.as_deref().unwrap_or("Combined");
                let (format, log_format) = access_format(format)?;
                let mut log = AccessLog { format, log_format, ..AccessLog::default() };
                log.content.directives = self.directives();
                (Some(log), None, StreamKind::Access)
            }
            Log::Error => {
                if !self.set.is_empty() {
                    return Err("--set is an option of an access log".into());
                }
                let format = error_format(self.format.as_deref().unwrap_or("Httpd24"))?;
                let mpm = self.mpm.unwrap_or(Mpm::Event);
                let log = ErrorLog { format, mpm, ..ErrorLog::default() };
                (None, Some(log), self.level.unwrap_or(StreamKind::Error))
            }
        };
        let (output, output_dir) = self.output()?;
        let generator = Generator {
            name: "emit".to_owned(),
            access,
            error,
            streams: vec![Stream {
                interval: self.timing(),
                initial_delay: self.initial_delay,
                ..Stream::plain(kind.as_str(), kind)
            }],
            output,
        };
        let spec = FakeLogSourceSpec {
            replicas: 1,
            workload: None,
            seed: self.seed.and_then(|seed| i64::try_from(seed).ok()),
            time_zone: self.time_zone()?,
            suspend: false,
            stop_after: self.stop_after(),
            generators: vec![generator],
            volume: None,
            pod_template: None,
        };
        let source = ResolvedSource::check(FakeLogSource::new("emit", spec));
        let source = source.map_err(|problems| {
            // The document is generated; of its paths only the last name is meaningful
            // to the user.
            let message = |problem: &Problem| {
                let name = problem.path.as_str().rsplit('.').next().unwrap_or_default();
                format!("{name}: {}", problem.message)
            };
            problems.iter().map(message).collect::<Vec<_>>().join("\n")
        })?;
        let zone = &source.time_zone;
        let start = self.start.map(|start| start.time(zone, self.duration));
        let simulated_from = start.transpose().map_err(|error| error.to_string())?;
        Ok(EmitPlan { source, output_dir, simulated_from })
    }

    /// The values of directives, each directive once.
    fn directives(&self) -> Vec<DirectiveValues> {
        let mut directives: Vec<DirectiveValues> = Vec::new();
        for setting in &self.set {
            let choice = Choice { value: setting.value.clone(), weight: 1 };
            match directives.iter_mut().find(|known| known.directive == setting.directive) {
                Some(known) => known.values.push(choice),
                None => directives.push(DirectiveValues {
                    directive: setting.directive.clone(),
                    values: vec![choice],
                }),
            }
        }
        directives
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
        if let Some(interval) = &self.interval {
            Some(interval.0.clone())
        } else if let Some(lines_per_second) = self.rate {
            Some(Interval::Rate(Rate { lines_per_second }))
        } else if self.unlimited || self.start.is_none() {
            Some(Interval::Unlimited(Unlimited {}))
        } else {
            None
        }
    }

    fn stop_after(&self) -> Option<StopAfter> {
        let timed = self.interval.is_some() || self.rate.is_some() || self.unlimited;
        let endless = timed && self.start.is_none();
        let lines = match (self.lines, self.duration) {
            (None, None) if !endless => Some(DEFAULT_LINES),
            (lines, _) => lines,
        };
        let lines = lines.and_then(|lines| i64::try_from(lines).ok());
        (lines.is_some() || self.duration.is_some())
            .then_some(StopAfter { lines, duration: self.duration })
    }

    /// Standard output, or a file; its directory is separate, as for a document.
    fn output(&self) -> Result<(Output, PathBuf), String> {
        let Some(path) = self.output.as_ref().filter(|path| path.as_os_str() != "-") else {
            return Ok((Output::Stdout(StandardStream {}), PathBuf::new()));
        };
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
        let interval = match &source.generators[0].log {
            resolved::Log::Access(log) => log.streams[0].timing.interval.clone(),
            resolved::Log::Error(log) => log.streams[0].timing.interval.clone(),
        };
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

    #[test]
    fn simulated_time_begins_at_the_given_time_in_the_given_zone() {
        let made = plan("access --start 2026-01-01 --time-zone Europe/Berlin").unwrap();
        let start = made.simulated_from.unwrap().timestamp();
        assert_eq!(start.to_string(), "2025-12-31T23:00:00Z");
        assert!(plan("access").unwrap().simulated_from.is_none());
    }
}
