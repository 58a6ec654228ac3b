//! When simulated time starts: a time, a date, `yesterday`, `-24h`.

use std::str::FromStr;

use jiff::{
    Timestamp, Zoned,
    civil::{self, Date, DateTime},
    fmt::temporal::DateTimeParser,
    tz::{TimeZone, TimeZoneDatabase},
};
use visor_api::quantity::Duration;
use visor_engine::time::Time;

/// The parsed text, before the time zone is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    At(Timestamp),
    /// A date and a time of day.
    On(DateTime),
    /// The start of a day this many days ago.
    DaysAgo(i64),
    Ago(Duration),
}

const EXPECTED: &str = "expected a time such as 2026-01-31T12:00:00Z, a date such as 2026-01-31, \
                        `now`, `today`, `yesterday`, or a duration ago such as -24h";

impl FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(ago) = text.strip_prefix('-') {
            return ago.parse().map(Self::Ago).map_err(|error: _| format!("{error}; {EXPECTED}"));
        }
        match text {
            "now" => return Ok(Self::Ago(Duration::default())),
            "today" => return Ok(Self::DaysAgo(0)),
            "yesterday" => return Ok(Self::DaysAgo(1)),
            _ => {}
        }
        if text.contains('[') {
            // Its zone must not be passed over, as other parsers do.
            let zones = TimeZoneDatabase::bundled();
            let parsed = DateTimeParser::new().parse_zoned_with(&zones, text);
            return parsed.map(|time| Self::At(time.timestamp())).map_err(|error| {
                format!("{error}; expected a time such as 2026-01-31T12:00:00[Europe/Berlin]")
            });
        }
        let at = text.parse().map(Self::At);
        let on = || text.parse::<Date>().map(|day| day.to_datetime(civil::Time::midnight()));
        at.or_else(|_| text.parse::<DateTime>().or_else(|_| on()).map(Self::On))
            .map_err(|_| EXPECTED.to_owned())
    }
}

impl Start {
    /// The time in this time zone; `duration` is the length of the run, if known.
    ///
    /// # Errors
    ///
    /// If the time, or the end of the run, is out of the range of time stamps, which are
    /// nanoseconds in 64 bits.
    pub(crate) fn time(self, zone: &TimeZone, duration: Option<Duration>) -> anyhow::Result<Time> {
        self.within(&Timestamp::now(), zone, duration).ok_or_else(|| {
            anyhow::anyhow!(
                "--start and the end of the run must be between {} and {}",
                bound(i64::MIN),
                bound(i64::MAX)
            )
        })
    }

    fn within(self, now: &Timestamp, zone: &TimeZone, duration: Option<Duration>) -> Option<Time> {
        let start = match self {
            Self::At(time) => time,
            Self::On(civil) => civil.to_zoned(zone.clone()).ok()?.timestamp(),
            Self::DaysAgo(days) => {
                let today: Zoned = now.to_zoned(zone.clone()).start_of_day().ok()?;
                let day = today.date().checked_sub(jiff::Span::new().days(days)).ok()?;
                day.to_zoned(zone.clone()).ok()?.timestamp()
            }
            Self::Ago(ago) => {
                now.checked_sub(std::time::Duration::from_nanos(ago.as_nanos())).ok()?
            }
        };
        let start = i64::try_from(start.as_nanosecond()).ok()?;
        let duration = duration.map_or(0, Duration::as_nanos);
        start.checked_add(i64::try_from(duration).ok()?)?;
        Some(Time::from_nanos(start))
    }
}

/// A bound of the range, to the second.
fn bound(nanoseconds: i64) -> Timestamp {
    Timestamp::from_second(nanoseconds / 1_000_000_000).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use visor_api::time_zone;

    fn seconds(text: &str, zone: &str) -> Option<i64> {
        let now: Timestamp = "2026-11-26T02:30:00Z".parse().unwrap();
        let start: Start = text.parse().unwrap();
        start.within(&now, &time_zone::named(zone).unwrap(), None).map(Time::second)
    }

    #[test]
    fn times_days_and_spans_are_taken() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
        for (text, zone, wanted) in [
            ("2026-01-31T12:00:00Z", "UTC", "2026-01-31T12:00:00Z"),
            ("2026-01-31T12:00:00+02:00", "UTC", "2026-01-31T10:00:00Z"),
            ("2026-01-31T12:00", "Europe/Berlin", "2026-01-31T11:00:00Z"),
            ("2026-01-31 12:00:30", "UTC", "2026-01-31T12:00:30Z"),
            ("2026-01-31", "Europe/Berlin", "2026-01-30T23:00:00Z"),
            ("2026-10-05T09:00:00[Europe/Berlin]", "UTC", "2026-10-05T07:00:00Z"),
            ("2026-10-05T09:00[Europe/Berlin]", "UTC", "2026-10-05T07:00:00Z"),
            ("2026-10-05T09:00:00+02:00[Europe/Berlin]", "UTC", "2026-10-05T07:00:00Z"),
            ("2026-10-05T09:00:00Z[Europe/Berlin]", "UTC", "2026-10-05T09:00:00Z"),
            ("2026-10-05[Europe/Berlin]", "UTC", "2026-10-04T22:00:00Z"),
            ("now", "UTC", "2026-11-26T02:30:00Z"),
            ("today", "America/New_York", "2026-11-25T05:00:00Z"),
            ("yesterday", "UTC", "2026-11-25T00:00:00Z"),
            ("-24h", "UTC", "2026-11-25T02:30:00Z"),
        ] {
            assert_eq!(seconds(text, zone), Some(at(wanted)), "{text}");
        }
        for text in [
            "",
            "tomorrow",
            "-",
            "-1",
            "2026-13-01",
            "12:00",
            "2026-10-05T09:00:00[Nowhere/Land]",
            "2026-10-05T09:00:00Z[Nowhere/Land]",
            "2026-10-05T09:00:00+05:00[Europe/Berlin]",
            "2026-10-05T09:00:00[",
        ] {
            assert!(text.parse::<Start>().is_err(), "{text}");
        }
    }

    #[test]
    fn times_that_cannot_be_formatted_are_rejected_with_the_bounds() {
        for text in ["1500-01-01T00:00:00Z", "1677-09-21", "2262-04-12", "9999-12-31"] {
            let error = text.parse::<Start>().unwrap().time(&TimeZone::UTC, None).unwrap_err();
            assert!(error.to_string().contains("1677-09-21T00:12:44Z"), "{error}");
        }
        let late: Start = "2262-01-01".parse().unwrap();
        assert!(late.time(&TimeZone::UTC, Some(Duration::from_secs(1))).is_ok());
        assert!(late.time(&TimeZone::UTC, Some(Duration::from_secs(366 * 86_400))).is_err());
    }
}
