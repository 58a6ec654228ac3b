//! A fault as a command line says it: its name, then options, such as `reject,status=429,share=10%`.

use std::{str::FromStr, time::Duration};

use http::StatusCode;

use super::{Fault, Kind, When};

/// The names of all faults.
const NAMES: &str =
    "reject, error, close, delay, reject-items, withhold-acknowledgements or slow-read";

/// The options of a fault, which are taken one by one.
struct Options<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Options<'a> {
    /// The value of an option, which is taken.
    fn take(&mut self, name: &str) -> Option<&'a str> {
        let index = self.0.iter().position(|(other, _)| *other == name)?;
        Some(self.0.remove(index).1)
    }

    /// The value of an option as `parse` reads it.
    fn parsed<T>(
        &mut self,
        name: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let value = parse(text);
        value.map(Some).ok_or_else(|| format!("`{name}={text}`: expected {expected}"))
    }

    fn duration(&mut self, name: &str) -> Result<Option<Duration>, String> {
        self.parsed(name, "a duration, such as 10s", |text| {
            let duration: jiff::SignedDuration = text.parse().ok()?;
            duration.try_into().ok()
        })
    }

    fn status(&mut self, default: StatusCode) -> Result<StatusCode, String> {
        let status = self.parsed("status", "a status of an error, such as 503", |text| {
            let status: StatusCode = text.parse().ok()?;
            (status.is_client_error() || status.is_server_error()).then_some(status)
        })?;
        Ok(status.unwrap_or(default))
    }

    fn number(&mut self, name: &str) -> Result<Option<u64>, String> {
        let parse = |text: &str| text.parse().ok().filter(|number| *number > 0);
        self.parsed(name, "a number of at least 1", parse)
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rest) = text.split_once(',').unwrap_or((text, ""));
        let options = rest.split(',').filter(|option| !option.is_empty());
        let pairs: Result<Vec<_>, _> = options
            .map(|text| text.split_once('=').ok_or(format!("`{text}`: expected NAME=VALUE")))
            .collect();
        let mut options = Options(pairs?);
        let kind = match name {
            "reject" => Kind::Reject {
                status: options.status(StatusCode::SERVICE_UNAVAILABLE)?,
                retry_after: options.duration("retry-after")?,
            },
            "error" => Kind::Error { status: options.status(StatusCode::INTERNAL_SERVER_ERROR)? },
            "close" => {
                let is_taken =
                    options.parsed("when", "`before` or `after`", |text| match text {
                        "before" => Some(false),
                        "after" => Some(true),
                        _ => None,
                    })?;
                Kind::Close { is_taken: is_taken.unwrap_or(true) }
            }
            "delay" => Kind::Delay {
                by: options.duration("by")?.ok_or("`delay` needs `by`, such as by=14s")?,
            },
            "reject-items" => {
                Kind::RejectItems { status: options.status(StatusCode::TOO_MANY_REQUESTS)? }
            }
            "withhold-acknowledgements" => Kind::WithholdAcknowledgements,
            "slow-read" => {
                let rate = options.number("bytes-per-second")?;
                let rate = rate.ok_or("`slow-read` needs `bytes-per-second`")?;
                Kind::SlowRead { bytes_per_second: u32::try_from(rate).unwrap_or(u32::MAX) }
            }
            other => return Err(format!("`{other}`: expected {NAMES}")),
        };
        let share = options.parsed("share", "a share, such as 10% or 0.1", share)?;
        let when = When {
            protocol: options.take("protocol").map(str::to_owned),
            share: share.unwrap_or(1.0),
            every: options.number("every")?.unwrap_or(1),
            count: options.number("count")?.unwrap_or(u64::MAX),
            after: options.duration("after")?.unwrap_or_default(),
            period: options.duration("for")?.unwrap_or(Duration::MAX),
        };
        match options.0.first() {
            None => Ok(Self { kind, when }),
            Some((unknown, _)) => Err(format!("`{unknown}`: `{name}` has no such option")),
        }
    }
}

/// A share as a percentage or a number.
fn share(text: &str) -> Option<f64> {
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().ok()? / 100.0,
        None => text.parse().ok()?,
    };
    (0.0..=1.0).contains(&share).then_some(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_has_a_name_and_options() {
        let fault: Fault = "reject,status=429,retry-after=2s,share=10%,for=1m".parse().unwrap();
        let retry_after = Some(Duration::from_secs(2));
        let status = StatusCode::TOO_MANY_REQUESTS;
        assert_eq!(fault.kind, Kind::Reject { status, retry_after });
        let When { share, every, period, .. } = fault.when;
        assert_eq!((share, every, period), (0.1, 1, Duration::from_mins(1)));
        for text in ["close", "close,when=before", "delay,by=1s", "withhold-acknowledgements"] {
            assert!(text.parse::<Fault>().is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_fault_is_said() {
        for (text, why) in [
            ("explode", "`explode`: expected reject, error,"),
            ("reject,status=200", "`status=200`: expected a status of an error"),
            ("reject,often", "`often`: expected NAME=VALUE"),
            ("reject,share=110%", "`share=110%`: expected a share"),
            ("reject,every=0", "`every=0`: expected a number of at least 1"),
            ("delay", "`delay` needs `by`"),
            ("close,status=500", "`status`: `close` has no such option"),
            ("slow-read", "`slow-read` needs `bytes-per-second`"),
        ] {
            let error = text.parse::<Fault>().unwrap_err();
            assert!(error.starts_with(why), "{text}: {error}");
        }
    }
}
