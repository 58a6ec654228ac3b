//! Time stamps. The text of a stamp is cached for its second.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use visor_logs::log_format::{CtimeOptions, TimeFormat};

use crate::{
    strftime::Strftime,
    text::{Line, Lines, Text},
    time::Time,
};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// The cached text of a second, without the fraction.
#[derive(Debug, Clone)]
struct PerSecond {
    begin: Time,
    text: Text,
}

impl PerSecond {
    fn new() -> Self {
        Self { begin: Time::MAX, text: Text::default() }
    }

    /// Whether the text is that of the second of `time`.
    #[inline]
    fn holds(&self, time: Time) -> bool {
        (0..Time::NANOS_PER_SECOND).contains(&time.nanos_since(self.begin))
    }

    /// The text of the second of `time`, rendered only if the second has changed.
    #[inline]
    fn at(
        &mut self,
        time: Time,
        scratch: &mut Lines,
        render: impl FnOnce(Timestamp, &mut Line<'_>),
    ) -> &Text {
        if !self.holds(time) {
            self.begin = time.saturating_add(-time.subsecond_nanos());
            scratch.clear();
            let mut line = scratch.line();
            render(Timestamp::from_second(time.second()).unwrap_or_default(), &mut line);
            line.keep();
            self.text.set(scratch.as_bytes());
        }
        &self.text
    }
}

/// The cached texts of a few recent seconds: requests end in order, but their starts are not in
/// order.
#[derive(Debug, Clone)]
struct PerRecentSecond {
    seconds: [PerSecond; 4],
    last: usize,
    /// A buffer for rendering, reused so that it allocates nothing.
    scratch: Lines,
}

impl PerRecentSecond {
    fn new() -> Self {
        let seconds = std::array::from_fn(|_| PerSecond::new());
        Self { seconds, last: 0, scratch: Lines::default() }
    }

    /// As [`PerSecond::at`].
    #[inline]
    fn at(&mut self, time: Time, render: impl FnOnce(Timestamp, &mut Line<'_>)) -> &Text {
        if !self.seconds[self.last].holds(time) {
            self.last = usize::try_from(time.second().rem_euclid(4)).unwrap_or(0);
        }
        self.seconds[self.last].at(time, &mut self.scratch, render)
    }
}

/// A time in a format of `%t` or in UTC, and the text after it.
#[derive(Debug, Clone)]
pub struct Stamp {
    form: Form,
    /// Whether it consists of the second's text alone, with the text after it.
    is_of_whole_seconds: bool,
    after: Text,
    cache: PerRecentSecond,
}

/// The format of a time.
#[derive(Debug, Clone)]
enum Form {
    Clf(TimeZone),
    Iso8601(TimeZone),
    Strftime(Box<Strftime>, TimeZone),
    Ctime(CtimeOptions, TimeZone),
    Utc,
    Seconds,
    Milliseconds,
    Microseconds,
    MillisecondFraction,
    MicrosecondFraction,
}

impl Stamp {
    /// Stamps in this format and time zone.
    pub fn new(format: TimeFormat, zone: TimeZone) -> Self {
        Self::of(match format {
            TimeFormat::Clf => Form::Clf(zone),
            TimeFormat::Iso8601 => Form::Iso8601(zone),
            TimeFormat::Ctime(options) => Form::Ctime(options, zone),
            TimeFormat::Strftime(format) => Form::Strftime(Box::new(Strftime::new(&format)), zone),
            TimeFormat::Seconds => Form::Seconds,
            TimeFormat::Milliseconds => Form::Milliseconds,
            TimeFormat::Microseconds => Form::Microseconds,
            TimeFormat::MillisecondFraction => Form::MillisecondFraction,
            TimeFormat::MicrosecondFraction => Form::MicrosecondFraction,
        })
    }

    /// Stamps in RFC 3339 format, in UTC, with microseconds: `2026-09-18T23:19:28.004050Z`.
    pub fn utc() -> Self {
        let mut stamp = Self::of(Form::Utc);
        stamp.followed_by(b"Z");
        stamp
    }

    fn of(form: Form) -> Self {
        let is_of_whole_seconds = match &form {
            Form::Clf(_) | Form::Iso8601(_) | Form::Strftime(..) => true,
            Form::Ctime(options, _) => !options.microseconds && !options.milliseconds,
            _ => false,
        };
        Self { form, is_of_whole_seconds, after: Text::default(), cache: PerRecentSecond::new() }
    }

    /// The most bytes that it writes.
    pub(crate) fn longest(&self) -> usize {
        let time = match &self.form {
            Form::Strftime(format, _) => format.longest(),
            _ => LONGEST,
        };
        time + self.after.len()
    }

    /// Appends text after the stamp.
    pub fn followed_by(&mut self, text: &[u8]) {
        let after = [&*self.after, text].concat();
        self.after.set(&after);
    }

    /// Writes `time` and the text after it.
    #[expect(clippy::inline_always, reason = "a call costs as much as what it does")]
    #[inline(always)]
    pub fn write(&mut self, time: Time, line: &mut Line<'_>) {
        // Most stamps are that of the last second once more.
        let last = &self.cache.seconds[self.cache.last];
        if self.is_of_whole_seconds && last.holds(time) {
            line.put(&last.text);
        } else {
            self.write_any(time, line);
        }
    }

    #[inline(never)]
    fn write_any(&mut self, time: Time, line: &mut Line<'_>) {
        let after = &self.after;
        match &self.form {
            Form::Clf(zone) => {
                return line.put(self.cache.at(time, |second, text| {
                    render_clf(second, zone, text);
                    text.put(after);
                }));
            }
            Form::Iso8601(zone) => {
                return line.put(self.cache.at(time, |second, text| {
                    render_iso8601(second, zone, text);
                    text.put(after);
                }));
            }
            Form::Strftime(format, zone) => {
                return line.put(self.cache.at(time, |second, text| {
                    let mut written = String::new();
                    format.write(&second.to_zoned(zone.clone()), &mut written);
                    text.extend(written.as_bytes());
                    text.put(after);
                }));
            }
            Form::Ctime(options, zone) => {
                let text = self.cache.at(time, |second, text| {
                    render_ctime(second, zone, *options, text);
                    text.put(after);
                });
                let (fraction, digits) = match options {
                    CtimeOptions { microseconds: true, .. } => (time.subsecond_nanos() / 1_000, 6),
                    CtimeOptions { milliseconds: true, .. } => {
                        (time.subsecond_nanos() / 1_000_000, 3)
                    }
                    _ => return line.put(text),
                };
                return line.put_with_digits(text, FRACTION, fraction, digits);
            }
            Form::Utc => {
                line.put(self.cache.at(time, render_utc));
                line.digits(time.subsecond_nanos() / 1_000, 6);
            }
            Form::Seconds => line.signed_number(time.second()),
            Form::Milliseconds => line.signed_number(time.as_nanos().div_euclid(1_000_000)),
            Form::Microseconds => line.signed_number(time.as_nanos().div_euclid(1_000)),
            Form::MillisecondFraction => line.digits(time.subsecond_nanos() / 1_000_000, 3),
            Form::MicrosecondFraction => line.digits(time.subsecond_nanos() / 1_000, 6),
        }
        line.put(after);
    }
}

/// `[18/Sep/2026:19:18:28 -0400]`, as `log_request_time` of `mod_log_config.c`.
fn render_clf(second: Timestamp, zone: &TimeZone, text: &mut Line<'_>) {
    let civil = second.to_zoned(zone.clone());
    text.push(b'[');
    text.digits(civil.day().into(), 2);
    text.push(b'/');
    text.extend(name(&MONTHS, civil.month() - 1));
    text.push(b'/');
    text.signed_number(civil.year());
    for part in [civil.hour(), civil.minute(), civil.second()] {
        text.push(b':');
        text.digits(part.into(), 2);
    }
    text.push(b' ');
    render_offset(civil.offset().seconds(), b"", text);
    text.push(b']');
}

/// A time in UTC up to the fraction of its second.
fn render_utc(second: Timestamp, text: &mut Line<'_>) {
    render_date_and_time(TimeZone::UTC.to_datetime(second), text);
    text.push(b'.');
}

/// `2026-09-18T19:18:28-04:00`, as nginx's `$time_iso8601`.
fn render_iso8601(second: Timestamp, zone: &TimeZone, text: &mut Line<'_>) {
    let civil = second.to_zoned(zone.clone());
    render_date_and_time(civil.datetime(), text);
    render_offset(civil.offset().seconds(), b":", text);
}

fn render_date_and_time(civil: DateTime, text: &mut Line<'_>) {
    text.digits(civil.year().into(), 4);
    for (part, before) in [
        (civil.month(), b'-'),
        (civil.day(), b'-'),
        (civil.hour(), b'T'),
        (civil.minute(), b':'),
        (civil.second(), b':'),
    ] {
        text.push(before);
        text.digits(part.into(), 2);
    }
}

/// No other time has more bytes.
const LONGEST: usize = 64;

/// Where the fraction begins in `Www Mon DD HH:MM:SS.` and `YYYY-MM-DD HH:MM:SS.`.
const FRACTION: usize = 20;

/// As `ap_recent_ctime_ex` of httpd's `server/util_time.c`, with zeros as the fraction.
fn render_ctime(second: Timestamp, zone: &TimeZone, options: CtimeOptions, text: &mut Line<'_>) {
    let civil = second.to_zoned(zone.clone());
    if options.compact {
        text.digits(civil.year().into(), 4);
        for part in [civil.month(), civil.day()] {
            text.push(b'-');
            text.digits(part.into(), 2);
        }
    } else {
        text.extend(name(&DAYS, civil.weekday().to_monday_zero_offset()));
        text.push(b' ');
        text.extend(name(&MONTHS, civil.month() - 1));
        text.push(b' ');
        text.digits(civil.day().into(), 2);
    }
    for (part, before) in [(civil.hour(), b' '), (civil.minute(), b':'), (civil.second(), b':')] {
        text.push(before);
        text.digits(part.into(), 2);
    }
    if options.microseconds {
        text.extend(b".000000");
    } else if options.milliseconds {
        text.extend(b".000");
    }
    if !options.compact {
        text.push(b' ');
        text.signed_number(civil.year());
    }
    if options.zone {
        text.push(b' ');
        render_offset(civil.offset().seconds(), b"", text);
    }
}

/// `+0100`, or with a colon.
fn render_offset(seconds: i32, between: &[u8], text: &mut Line<'_>) {
    text.push(if seconds < 0 { b'-' } else { b'+' });
    let minutes = i64::from(seconds.abs() / 60);
    text.digits(minutes / 60, 2);
    text.extend(between);
    text.digits(minutes % 60, 2);
}

/// The name of a month or a day of the week by its number from 0.
fn name(names: &[&'static str], number: i8) -> &'static [u8] {
    usize::try_from(number).ok().and_then(|at| names.get(at)).map_or(b"???", |name| name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn zone(name: &str) -> TimeZone {
        jiff::tz::TimeZoneDatabase::bundled().get(name).unwrap()
    }

    fn written(write: impl FnOnce(&mut Line<'_>)) -> String {
        let mut lines = Lines::default();
        let mut line = lines.line();
        write(&mut line);
        line.keep();
        String::from_utf8(lines.as_bytes().to_vec()).unwrap()
    }

    fn access(format: TimeFormat, zone_name: &str, times: &[i64]) -> Vec<String> {
        let mut stamp = Stamp::new(format, zone(zone_name));
        let mut write = |time: &i64| written(|line| stamp.write(Time::from_nanos(*time), line));
        times.iter().map(&mut write).collect()
    }

    #[test]
    fn the_common_log_format_has_the_zone_s_offset_with_its_sign() {
        let autumn = 1_790_017_708 * SECOND + 999_999_999;
        assert_eq!(access(TimeFormat::Clf, "UTC", &[autumn]), ["[21/Sep/2026:19:08:28 +0000]"]);
        for (name, offset) in [
            ("America/New_York", "15:08:28 -0400]"),
            ("Asia/Kathmandu", "00:53:28 +0545]"),
            ("America/St_Johns", "16:38:28 -0230]"),
        ] {
            let text = &access(TimeFormat::Clf, name, &[autumn])[0];
            assert!(text.ends_with(offset), "{name}: {text}");
        }
    }

    #[test]
    fn summer_time_ends_within_a_second() {
        // 25 October 2026, 01:00 UTC: Berlin's clocks go from 03:00 back to 02:00.
        let end = 1_792_890_000 * SECOND;
        assert_eq!(
            access(TimeFormat::Clf, "Europe/Berlin", &[end - 1, end]),
            ["[25/Oct/2026:02:59:59 +0200]", "[25/Oct/2026:02:00:00 +0100]"]
        );
    }

    #[test]
    fn the_other_forms_of_a_time_cut_and_pad() {
        let time = 1_000_000_007_004_050_600;
        for (format, text) in [
            (TimeFormat::Seconds, "1000000007"),
            (TimeFormat::Milliseconds, "1000000007004"),
            (TimeFormat::Microseconds, "1000000007004050"),
            (TimeFormat::MillisecondFraction, "004"),
            (TimeFormat::MicrosecondFraction, "004050"),
            (TimeFormat::Strftime("%Y-%m-%d".to_owned()), "2001-09-09"),
            (TimeFormat::Iso8601, "2001-09-09T01:46:47+00:00"),
        ] {
            assert_eq!(access(format, "UTC", &[time]), [text]);
        }
    }

    #[test]
    fn an_error_log_s_time_has_the_options_of_httpd() {
        let time = 971_211_336 * SECOND + 123_456_789;
        for (letters, text) in [
            ("", "Tue Oct 10 20:55:36 2000"),
            ("u", "Tue Oct 10 20:55:36.123456 2000"),
            ("m", "Tue Oct 10 20:55:36.123 2000"),
            ("mu", "Tue Oct 10 20:55:36.123456 2000"),
            ("z", "Tue Oct 10 20:55:36 2000 +0000"),
            ("c", "2000-10-10 20:55:36"),
            ("cuz", "2000-10-10 20:55:36.123456 +0000"),
        ] {
            let options = CtimeOptions {
                microseconds: letters.contains('u'),
                milliseconds: letters.contains('m'),
                compact: letters.contains('c'),
                zone: letters.contains('z'),
            };
            assert_eq!(access(TimeFormat::Ctime(options), "UTC", &[time]), [text], "{letters}");
        }
    }

    #[test]
    fn a_time_in_utc_has_microseconds_and_a_z() {
        let mut stamp = Stamp::utc();
        let time = Time::from_nanos(1_000_000_007_004_050_600);
        assert_eq!(written(|line| stamp.write(time, line)), "2001-09-09T01:46:47.004050Z");
    }

    #[test]
    fn what_follows_a_stamp_stands_behind_every_form_of_it() {
        let time = Time::from_nanos(1_000_000_007_004_050_600);
        let mut forms = vec![Stamp::utc()];
        for format in [
            TimeFormat::Clf,
            TimeFormat::Seconds,
            TimeFormat::Strftime("%F".to_owned()),
            TimeFormat::Ctime(CtimeOptions::default()),
        ] {
            forms.push(Stamp::new(format, zone("UTC")));
        }
        for mut stamp in forms {
            let bare = written(|line| stamp.clone().write(time, line));
            stamp.followed_by(b" \"");
            stamp.followed_by(b"GET");
            assert_eq!(written(|line| stamp.write(time, line)), bare + " \"GET");
        }
    }

    #[test]
    fn times_before_the_epoch_are_rendered_too() {
        assert_eq!(access(TimeFormat::Clf, "UTC", &[-1]), ["[31/Dec/1969:23:59:59 +0000]"]);
    }
}
