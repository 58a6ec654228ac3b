//! Parses and validates what a pod reports: any container in a pod can pretend to be its generator.
//! Pure.

use std::time::Duration;

use super::Counts;

/// Counts must be below this, because many clients can't represent larger integers.
const TOO_MANY: u64 = 1 << 53;
/// More than any program writes per second, on any machine.
const FASTEST: Counts = Counts { lines: 100_000_000, bytes: 20_000_000_000 };
/// How much clocks of nodes may differ.
const SLACK: Duration = Duration::from_secs(10);

/// Why a report is implausible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Implausible {
    #[error("`{0}` is not a count: a whole number below 2^53")]
    NoCount(String),
    #[error("{lines} lines can't have only {bytes} bytes")]
    Empty { lines: u64, bytes: u64 },
    #[error("{lines} lines ({bytes} bytes) can't be written in {seconds} s")]
    TooFast { lines: u64, bytes: u64, seconds: u64 },
    #[error("the number of lines went back from {from} to {to}")]
    WentBack { from: u64, to: u64 },
}

impl Counts {
    /// Validates the counts of a container of this age.
    ///
    /// # Errors
    ///
    /// Why they are implausible.
    pub(crate) fn check(self, age: Option<Duration>) -> Result<(), Implausible> {
        let Self { lines, bytes } = self;
        if lines >= TOO_MANY || bytes >= TOO_MANY {
            return Err(Implausible::NoCount(lines.max(bytes).to_string()));
        }
        if lines > bytes {
            return Err(Implausible::Empty { lines, bytes });
        }
        let Some(age) = age else { return Ok(()) };
        let seconds = age.saturating_add(SLACK).as_secs();
        let most = |in_a_second: u64| in_a_second.saturating_mul(seconds);
        if lines > most(FASTEST.lines) || bytes > most(FASTEST.bytes) {
            return Err(Implausible::TooFast { lines, bytes, seconds: age.as_secs() });
        }
        Ok(())
    }
}

/// A generator's `/metrics`, parsed line by line.
#[derive(Debug, Default)]
pub(crate) struct MetricsPage {
    counts: Counts,
    wrong: Option<Implausible>,
    fails: bool,
}

impl MetricsPage {
    /// Parses a line.
    pub(crate) fn line(&mut self, line: &str) {
        let (sum, rest) = if let Some(rest) = line.strip_prefix("visor_lines_total{") {
            (&mut self.counts.lines, rest)
        } else if let Some(rest) = line.strip_prefix("visor_bytes_total{") {
            (&mut self.counts.bytes, rest)
        } else if line.starts_with("visor_output_failing{") {
            self.fails |= line.ends_with("} 1");
            return;
        } else {
            return;
        };
        let text = rest.rsplit_once("} ").map_or("", |(_, text)| text.trim());
        match count(text) {
            Some(count) => *sum = sum.saturating_add(count),
            None => {
                self.wrong.get_or_insert_with(|| Implausible::NoCount(shown(text)));
            }
        }
    }

    /// Whether an output is failing.
    pub(crate) fn output_fails(&self) -> bool {
        self.fails
    }

    /// The counts of the page.
    ///
    /// # Errors
    ///
    /// If one of them isn't a count.
    pub(crate) fn counts(self) -> Result<Counts, Implausible> {
        self.wrong.map_or(Ok(self.counts), Err)
    }
}

fn count(text: &str) -> Option<u64> {
    let digits = text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|count| digits && *count < TOO_MANY)
}

/// The reason that a pod gives for a failing output, shortened for a message.
pub(crate) fn reason(text: &str) -> String {
    const LONGEST: usize = 400;
    text.chars().filter(|letter| !letter.is_control()).take(LONGEST).collect()
}

/// The start of an untrusted text, for a message.
fn shown(text: &str) -> String {
    const LONGEST: usize = 20;
    text.chars().filter(char::is_ascii_graphic).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(lines: &[&str]) -> Result<Counts, Implausible> {
        let mut page = MetricsPage::default();
        for line in lines {
            page.line(line);
        }
        page.counts()
    }

    #[test]
    fn the_lines_and_bytes_of_all_streams_are_added() {
        let counts = page(&[
            "# TYPE visor_lines_total counter",
            r#"visor_lines_total{source="shop",stream="a"} 12"#,
            r#"visor_lines_total{source="shop",stream="b} 7"} 3"#,
            r#"visor_lines_skipped_total{source="shop"} 99"#,
            r#"visor_bytes_total{source="shop",stream="a"} 340"#,
        ]);
        assert_eq!(counts, Ok(Counts { lines: 15, bytes: 340 }));
    }

    #[test]
    fn a_failing_output_is_detected() {
        let fails = |lines: &[&str]| {
            let mut page = MetricsPage::default();
            for line in lines {
                page.line(line);
            }
            page.output_fails()
        };
        let (good, bad) =
            (r#"visor_output_failing{output="a} 1"} 0"#, r#"visor_output_failing{output="b"} 1"#);
        assert!(!fails(&[good]));
        assert!(fails(&[good, bad, good]));
        assert_eq!(reason("can't\u{1b}[31m open\n"), "can't[31m open");
        assert_eq!(reason(&"ä".repeat(1000)).chars().count(), 400);
    }

    #[test]
    fn an_invalid_count_is_reported() {
        for text in
            ["1e300", "1e3", "-1", "NaN", "+Inf", "+5", "1.5", "", "9007199254740992", "0x1"]
        {
            let line = format!("visor_lines_total{{stream=\"a\"}} {text}");
            assert_eq!(page(&[&line]), Err(Implausible::NoCount(text.to_owned())));
        }
        let cut = page(&["visor_lines_total{stream=\"a\""]);
        assert_eq!(cut, Err(Implausible::NoCount(String::new())));
        let long = format!("visor_lines_total{{}} {}\u{7}", "9".repeat(1000));
        assert_eq!(page(&[&long]), Err(Implausible::NoCount("9".repeat(20))));
    }

    #[test]
    fn what_can_be_is_documented() {
        let (lines, bytes) = (FASTEST.lines / 1_000_000, FASTEST.bytes / 1_000_000_000);
        let said = format!("no more than {lines} million lines and {bytes} GB for each second");
        crate::documented::row_contains("How many lines it wrote", &said);
        assert_eq!(TOO_MANY, 1 << 53);
    }

    #[test]
    fn an_implausible_count_is_reported() {
        let check = |lines, bytes, age| Counts { lines, bytes }.check(age);
        let minute = Some(Duration::from_mins(1));
        assert_eq!(check(0, 0, None), Ok(()));
        assert_eq!(check(5, 5, minute), Ok(()));
        assert!(matches!(check(6, 5, minute), Err(Implausible::Empty { .. })));
        // Seven billion, of a pod that has just begun.
        let seven = 7_000_000_000;
        let young = Some(Duration::from_secs(5));
        assert!(matches!(check(seven, 2 * seven, young), Err(Implausible::TooFast { .. })));
        assert!(matches!(check(1, 1 << 50, minute), Err(Implausible::TooFast { .. })));
        assert!(matches!(check(1, TOO_MANY, None), Err(Implausible::NoCount(_))));
        // A fast one that has run for a year.
        let year = Some(Duration::from_hours(24 * 365));
        assert_eq!(check(1_000_000 * 31_536_000, 100_000_000 * 31_536_000, year), Ok(()));
    }
}
