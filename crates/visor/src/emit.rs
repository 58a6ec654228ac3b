//! `visor emit`: the quick case, made into the document that says the same. What then runs it is
//! what runs every document.

use std::path::{Path, PathBuf};

use visor_api::{
    FakeLogSource, Problem, rules,
    source::{
        AccessLog, ErrorLog, FakeLogSourceSpec, FileOutput, Generator, Interval, Output, Rate,
        StandardStream, StopAfter, Stream, StreamKind, Unlimited,
    },
};

use crate::cli::{Emit, Log, access_format, error_format};

/// What flog's users are used to: so many lines where nothing else is said.
const ORDINARY_LINES: u64 = 1000;

/// A document, and where its file output goes.
pub(crate) struct Emission {
    pub(crate) source: FakeLogSource,
    pub(crate) output_dir: PathBuf,
    /// Whether time is simulated: the lines are stamped from a given time on.
    pub(crate) simulated: bool,
}

impl Emit {
    /// The document that says what the options say.
    ///
    /// # Errors
    ///
    /// What is wrong with the options, in one sentence each.
    pub(crate) fn emission(&self) -> Result<Emission, String> {
        let (access, error, kind) = match self.log {
            Log::Access => {
                let format = self.format.as_deref().unwrap_or("Combined");
                let (format, log_format) = access_format(format)?;
                let log = AccessLog { format, log_format, ..AccessLog::default() };
                (Some(log), None, StreamKind::Access)
            }
            Log::Error => {
                let format = error_format(self.format.as_deref().unwrap_or("Httpd24"))?;
                let log = ErrorLog { format, mpm: self.mpm, ..ErrorLog::default() };
                (None, Some(log), self.level)
            }
        };
        let (output, output_dir) = self.output()?;
        let generator = Generator {
            name: "emit".to_owned(),
            access,
            error,
            streams: vec![Stream {
                interval: self.pace(),
                initial_delay: self.initial_delay,
                ..Stream::ordinary(kind.as_str(), kind)
            }],
            output,
        };
        let spec = FakeLogSourceSpec {
            replicas: 1,
            workload: None,
            seed: self.seed.and_then(|seed| i64::try_from(seed).ok()),
            time_zone: self.time_zone.clone(),
            suspend: false,
            stop_after: self.stop_after(),
            generators: vec![generator],
            volume: None,
            pod_template: None,
        };
        let source = FakeLogSource::new("emit", spec);
        let problems = rules::check(&source);
        if problems.is_empty() {
            Ok(Emission { source, output_dir, simulated: self.start.is_some() })
        } else {
            // The document is of this program's making; of its paths only the last name says
            // something to who gave options.
            let message = |problem: &Problem| {
                let name = problem.path.as_str().rsplit('.').next().unwrap_or_default();
                format!("{name}: {}", problem.message)
            };
            Err(problems.iter().map(message).collect::<Vec<_>>().join("\n"))
        }
    }

    /// How fast to go. Simulated time needs a pace; else, without one, lines come at once.
    fn pace(&self) -> Option<Interval> {
        if let Some(law) = &self.interval {
            Some(law.0.clone())
        } else if let Some(lines_per_second) = self.rate {
            Some(Interval::Rate(Rate { lines_per_second }))
        } else if self.unlimited || self.start.is_none() {
            Some(Interval::Unlimited(Unlimited {}))
        } else {
            None
        }
    }

    fn stop_after(&self) -> Option<StopAfter> {
        let paced = self.interval.is_some() || self.rate.is_some() || self.unlimited;
        let endless = paced && self.start.is_none();
        let lines = match (self.lines, self.duration) {
            (None, None) if !endless => Some(ORDINARY_LINES),
            (lines, _) => lines,
        };
        let lines = lines.and_then(|lines| i64::try_from(lines).ok());
        (lines.is_some() || self.duration.is_some())
            .then_some(StopAfter { lines, duration: self.duration })
    }

    /// Standard output, or a file; the directory is given apart, as for a document.
    fn output(&self) -> Result<(Output, PathBuf), String> {
        let Some(path) = &self.output else {
            return Ok((Output::Stdout(StandardStream {}), PathBuf::new()));
        };
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| format!("`{}` is no file's name", path.display()))?;
        let directory = path.parent().unwrap_or_else(|| Path::new(""));
        let file = FileOutput { path: name.to_owned(), rotation: None };
        Ok((Output::File(file), directory.to_path_buf()))
    }
}
