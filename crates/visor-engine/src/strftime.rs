//! strftime(3) of C in the C locale, as httpd uses it for `%{FORMAT}t`.
//!
//! It follows glibc, with its flags, widths and modifiers, and keeps unknown conversions literally.
//! jiff provides the calendar; its own conversions differ.

use jiff::Zoned;

/// A parsed format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strftime(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Conversion(Conversion),
}

/// A conversion: `%-5d`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Conversion {
    /// As it is written.
    text: String,
    letter: Option<char>,
    modifier: Option<char>,
    width: usize,
    /// `_`, `-` or `0`: how a number is padded.
    padding: Option<char>,
    /// `^`: upper case.
    is_upper: bool,
    /// `#`: opposite case.
    is_swapped: bool,
}

/// The value of a conversion.
enum Value {
    Text(String),
    /// A text that stays in lower case, whatever the flags.
    Lower(String),
    Number {
        sign: &'static str,
        number: i64,
        digits: usize,
        /// The default padding.
        padding: char,
    },
    /// The value of a conversion that consists of others.
    Several(&'static str),
}

/// No conversion without a width writes more bytes.
const LONGEST: usize = 64;
/// The conversions that don't take `E`, and those that don't take `O`.
const WITHOUT_E: &str = "aAbBdDeFgGhHIjklmMSUVwW";
const WITHOUT_O: &str = "aAcDFxXY";
const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// The maximum field width, so that lines are bounded.
const MAX_WIDTH: usize = 1024;

impl Strftime {
    /// Parses a format. Every text is valid.
    pub fn new(format: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            if at > 0 {
                pieces.push(Piece::Literal(rest[..at].to_owned()));
            }
            let conversion = Conversion::at_the_start_of(&rest[at..]);
            rest = &rest[at + conversion.text.len()..];
            pieces.push(Piece::Conversion(conversion));
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.to_owned()));
        }
        Self(pieces)
    }

    /// The most bytes that it writes.
    pub(crate) fn longest(&self) -> usize {
        let longest = |piece: &Piece| match piece {
            Piece::Literal(text) => text.len(),
            Piece::Conversion(conversion) => conversion.width.max(LONGEST),
        };
        self.0.iter().map(longest).sum()
    }

    /// Writes a time.
    pub fn write(&self, time: &Zoned, out: &mut String) {
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Conversion(conversion) => conversion.write(time, out),
            }
        }
    }
}

impl Conversion {
    /// The conversion at the start of a text.
    fn at_the_start_of(text: &str) -> Self {
        let mut rest = text[1..].char_indices().map(|(at, c)| (at + 1, c)).peekable();
        let mut flags = Vec::new();
        while let Some((_, flag)) = rest.next_if(|(_, c)| matches!(c, '_' | '-' | '0' | '^' | '#'))
        {
            flags.push(flag);
        }
        let mut width = 0_usize;
        while let Some((_, digit)) = rest.next_if(|(_, c)| c.is_ascii_digit()) {
            let digit = digit.to_digit(10).unwrap_or(0) as usize;
            width = width.saturating_mul(10).saturating_add(digit).min(MAX_WIDTH);
        }
        let modifier = rest.next_if(|(_, c)| matches!(c, 'E' | 'O')).map(|(_, c)| c);
        let letter = rest.next();
        let end = letter.map_or(text.len(), |(at, c)| at + c.len_utf8());
        let is_padding = |flag: &&char| matches!(flag, '_' | '-' | '0');
        Self {
            text: text[..end].to_owned(),
            letter: letter.map(|(_, c)| c),
            modifier,
            width,
            padding: flags.iter().rfind(is_padding).copied(),
            is_upper: flags.contains(&'^'),
            is_swapped: flags.contains(&'#'),
        }
    }

    fn write(&self, time: &Zoned, out: &mut String) {
        match self.value(time) {
            Some(Value::Number { sign, number, digits, padding }) => {
                if !sign.is_empty() {
                    // glibc pads the sign to the whole width, and then the number once more.
                    self.write_text(sign, out);
                }
                let text = number.to_string();
                let padding = self.padding.unwrap_or(padding);
                let wanted = if padding == '-' { 0 } else { digits.max(self.width) };
                pad(wanted, &text, if padding == '0' { '0' } else { ' ' }, out);
            }
            Some(Value::Text(text)) => self.write_text(&text, out),
            Some(Value::Lower(text)) => pad(self.width, &text, ' ', out),
            Some(Value::Several(format)) => {
                let mut text = String::new();
                Strftime::new(format).write(time, &mut text);
                self.write_text(&text, out);
            }
            None => self.write_text(&self.text, out),
        }
    }

    fn write_text(&self, text: &str, out: &mut String) {
        let text = if self.is_upper { text.to_ascii_uppercase() } else { text.to_owned() };
        pad(self.width, &text, if self.padding == Some('0') { '0' } else { ' ' }, out);
    }

    /// Its value; `None` if C has no such conversion.
    fn value(&self, time: &Zoned) -> Option<Value> {
        let letter = self.letter?;
        let rejected = match self.modifier {
            Some('E') => WITHOUT_E,
            Some(_) => WITHOUT_O,
            None => "",
        };
        if rejected.contains(letter) {
            return None;
        }
        let number = |number: i64, digits, padding| {
            Some(Value::Number { sign: "", number, digits, padding })
        };
        let weekday = i64::from(time.weekday().to_sunday_zero_offset());
        let day_of_year = i64::from(time.day_of_year());
        let iso = time.date().iso_week_date();
        let hour = i64::from(time.hour());
        let hour_of_twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
        match letter {
            'a' => self.name(&DAYS, weekday, 3),
            'A' => self.name(&DAYS, weekday, usize::MAX),
            'b' | 'h' => self.name(&MONTHS, i64::from(time.month()) - 1, 3),
            'B' => self.name(&MONTHS, i64::from(time.month()) - 1, usize::MAX),
            'c' => Some(Value::Several("%a %b %e %H:%M:%S %Y")),
            'C' => number(i64::from(time.year()).div_euclid(100), 2, '0'),
            'd' => number(time.day().into(), 2, '0'),
            'D' | 'x' => Some(Value::Several("%m/%d/%y")),
            'e' => number(time.day().into(), 2, '_'),
            'F' => Some(Value::Several("%Y-%m-%d")),
            'g' => number(i64::from(iso.year()).rem_euclid(100), 2, '0'),
            'G' => number(iso.year().into(), 1, '0'),
            'H' => number(hour, 2, '0'),
            'I' => number(hour_of_twelve, 2, '0'),
            'j' => number(day_of_year, 3, '0'),
            'k' => number(hour, 2, '_'),
            'l' => number(hour_of_twelve, 2, '_'),
            'm' => number(time.month().into(), 2, '0'),
            'M' => number(time.minute().into(), 2, '0'),
            'p' if self.is_swapped => Some(Value::Text(half_of_the_day(hour).to_ascii_lowercase())),
            'p' => Some(Value::Text(half_of_the_day(hour).to_owned())),
            'P' => Some(Value::Lower(half_of_the_day(hour).to_ascii_lowercase())),
            'r' => Some(Value::Several("%I:%M:%S %p")),
            'R' => Some(Value::Several("%H:%M")),
            's' => number(time.timestamp().as_second(), 1, '0'),
            'S' => number(time.second().into(), 2, '0'),
            't' => Some(Value::Text("\t".to_owned())),
            'T' | 'X' => Some(Value::Several("%H:%M:%S")),
            'u' => number(if weekday == 0 { 7 } else { weekday }, 1, '0'),
            'U' => number((day_of_year + 6 - weekday) / 7, 2, '0'),
            'V' => number(iso.week().into(), 2, '0'),
            'w' => number(weekday, 1, '0'),
            'W' => number((day_of_year + 6 - (weekday + 6) % 7) / 7, 2, '0'),
            'y' => number(i64::from(time.year()).rem_euclid(100), 2, '0'),
            'Y' => number(time.year().into(), 1, '0'),
            'z' => {
                let minutes = i64::from(time.offset().seconds().abs() / 60);
                let sign = if time.offset().is_negative() { "-" } else { "+" };
                let number = minutes / 60 * 100 + minutes % 60;
                Some(Value::Number { sign, number, digits: 4, padding: '0' })
            }
            'Z' => {
                let info = time.time_zone().to_offset_info(time.timestamp());
                let name = info.abbreviation();
                Some(Value::Text(if self.is_swapped {
                    name.to_ascii_lowercase()
                } else {
                    name.to_owned()
                }))
            }
            '%' => Some(Value::Text("%".to_owned())),
            _ => None,
        }
    }

    /// The first letters of the name of a day or a month.
    fn name(&self, names: &[&str], number: i64, letters: usize) -> Option<Value> {
        let name = *names.get(usize::try_from(number).ok()?)?;
        let name = name.get(..letters).unwrap_or(name);
        let text = if self.is_swapped { name.to_ascii_uppercase() } else { name.to_owned() };
        Some(Value::Text(text))
    }
}

fn half_of_the_day(hour: i64) -> &'static str {
    if hour < 12 { "AM" } else { "PM" }
}

/// Writes a text, padded on the left.
fn pad(width: usize, text: &str, padding: char, out: &mut String) {
    out.extend(std::iter::repeat_n(padding, width.saturating_sub(text.len())));
    out.push_str(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::{Timestamp, tz::TimeZoneDatabase};
    use proptest::prelude::*;

    fn written(format: &str) -> String {
        let zone = TimeZoneDatabase::bundled().get("America/New_York").unwrap();
        let time: Timestamp = "2026-10-05T13:03:07Z".parse().unwrap();
        let mut out = String::new();
        Strftime::new(format).write(&time.to_zoned(zone), &mut out);
        out
    }

    #[test]
    fn conversions_are_those_of_the_c_locale() {
        for (format, wanted) in [
            ("%c", "Mon Oct  5 09:03:07 2026"),
            ("%x %X", "10/05/26 09:03:07"),
            ("%r", "09:03:07 AM"),
            ("%Ey-%Om-%Od", "26-10-05"),
            ("%Ec", "Mon Oct  5 09:03:07 2026"),
            ("%Ed %Oc", "%Ed %Oc"),
            ("%q %f %N %L %", "%q %f %N %L %"),
            ("%%c", "%c"),
            ("%-d %_m %^a %3e %04H", "5 10 MON   5 0009"),
            ("%^f %4q", "%^F  %4q"),
            ("%z %-z %_z %Z %#Z %^P", "-0400 -400 - 400 EDT edt am"),
            ("%U %V %W %j %u %w", "40 41 40 278 1 1"),
            ("über %H", "über 09"),
        ] {
            assert_eq!(written(format), wanted, "{format}");
        }
    }

    proptest! {
        #[test]
        fn every_text_is_a_format(text in "[%EO_^#+0-9a-zA-Z é-]{0,30}") {
            written(&text);
        }
    }
}
