//! The page for people: the verdict, the protocols, the latencies, and the lines over time. It is HTML
//! and SVG that this makes, and loads nothing from elsewhere. Pure.

mod charts;

use std::{collections::BTreeMap, fmt::Write};

use visor_proof::{
    Verdict,
    latency::QUANTILES,
    verdict::{Counts, Outcome},
};

use crate::{fault::FaultCounts, history::Point, metrics::Traffic};

/// What is shown.
pub(crate) struct Shown<'a> {
    pub(crate) verdict: &'a Verdict,
    pub(crate) outcome: Outcome,
    pub(crate) history: &'a [Point],
    pub(crate) protocols: &'a BTreeMap<String, Traffic>,
    pub(crate) faults: &'a FaultCounts,
}

/// The maximum number of sources, and of outputs: those to which most has happened.
const MAX_ROWS: usize = 50;

/// The whole page, which replaces its content by that of `/content` every second.
pub(crate) fn page(shown: &Shown<'_>) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Visor sink</title>\n<style>\n{STYLE}</style>\n<main>\n{}</main>\n\
         <script>\n{SCRIPT}</script>\n</html>\n",
        content(shown)
    )
}

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/update.js");

/// The content of the page.
pub(crate) fn content(shown: &Shown<'_>) -> String {
    let Shown { verdict, outcome, history, protocols, faults } = shown;
    let (class, conclusion) = match outcome {
        Outcome::Delivered => ("good", "All lines arrived once and intact."),
        Outcome::Faulty => ("bad", "Not all lines arrived once and intact."),
        Outcome::Unknown => ("open", "Not everything is known yet."),
    };
    let mut html = format!("<h1>Visor sink</h1>\n<p class=\"verdict {class}\">{conclusion}</p>\n");
    html += &tiles(&verdict.total);
    let _ = write!(
        html,
        "<div class=\"charts\">\n<figure><figcaption>Lines over time</figcaption>\n{}</figure>\n\
         <figure><figcaption>{}</figcaption>\n{}</figure>\n</div>\n",
        charts::over_time(history),
        latency_caption(verdict),
        charts::histogram(verdict.latency.counts()),
    );
    html += &sources(verdict);
    html += &outputs(verdict);
    let rows = protocols.iter().map(|(name, Traffic { requests, records, faults })| {
        vec![escaped(name), requests.to_string(), records.to_string(), faults.to_string()]
    });
    html += &table("Protocols", &["Protocol", "Requests", "Records", "Faults"], rows.collect());
    let rows = faults
        .iter()
        .map(|((protocol, name), count)| vec![escaped(name), escaped(protocol), count.to_string()]);
    html += &table("Faults on purpose", &["Fault", "Protocol", "Happened"], rows.collect());
    let rows = verdict.examples.iter().map(|example| {
        let place = example.input.as_deref().map(escaped).unwrap_or_default();
        let record = example.record.map(|record| record.to_string()).unwrap_or_default();
        let line = format!("{} {}", example.lane, example.number);
        vec![example.fault.to_owned(), line, escaped(&example.output), place, record]
    });
    let titles = ["First lines", "Lane, number", "Output", "Input", "Record"];
    html + &table("Examples", &titles, rows.collect())
}

fn tiles(total: &Counts) -> String {
    let mut html = "<dl class=\"tiles\">\n".to_owned();
    for (name, count) in total.named() {
        let is_fault = total.faults().iter().any(|(kind, count)| kind.name() == name && *count > 0);
        let class = if is_fault { " class=\"bad\"" } else { "" };
        let _ = writeln!(html, "<div{class}><dt>{name}</dt><dd>{count}</dd></div>");
    }
    html + "</dl>\n"
}

fn latency_caption(verdict: &Verdict) -> String {
    let mut caption = "Latency".to_owned();
    for (name, share) in QUANTILES {
        let name = name.trim_end_matches("Milliseconds");
        if let Some(milliseconds) = verdict.latency.quantile(share) {
            let _ = write!(caption, " · {name} ≤ {milliseconds} ms");
        }
    }
    caption
}

/// The titles of counts.
const COUNTS: [&str; 7] = [
    "Emitted",
    "Delivered",
    "Missing",
    "Duplicated",
    "Late",
    "Unobserved",
    "Truncated, split, merged, altered",
];

/// The cells of counts.
fn cells(counts: &Counts) -> impl Iterator<Item = String> {
    let Counts { emitted, delivered, missing, duplicated, late, unobserved, .. } = *counts;
    let others = counts.truncated + counts.split + counts.merged + counts.altered;
    [emitted, delivered, missing, duplicated, late, unobserved, others]
        .map(|n| n.to_string())
        .into_iter()
}

/// How many faults there are.
fn happened(counts: &Counts) -> u64 {
    counts.faults().iter().map(|(_, count)| count).sum()
}

fn sources(verdict: &Verdict) -> String {
    let mut sources: Vec<_> = verdict.sources.iter().collect();
    sources.sort_by_key(|source| std::cmp::Reverse(happened(&source.counts)));
    let rows = sources.iter().take(MAX_ROWS).map(|source| {
        std::iter::once(escaped(&source.source)).chain(cells(&source.counts)).collect()
    });
    table("Sources", &[&["Source"][..], &COUNTS].concat(), rows.collect())
}

fn outputs(verdict: &Verdict) -> String {
    let mut outputs: Vec<_> = verdict.outputs.iter().collect();
    outputs.sort_by_key(|output| std::cmp::Reverse(happened(&output.counts)));
    let rows = outputs.iter().take(MAX_ROWS).map(|output| {
        let names = [&output.pod, &output.output].map(|name| escaped(name));
        names.into_iter().chain(cells(&output.counts)).collect()
    });
    table("Outputs", &[&["Pod", "Output"][..], &COUNTS].concat(), rows.collect())
}

/// A table with this title, unless it has no row.
fn table(title: &str, titles: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let cells = |tag: &str, cells: &[String]| {
        let cells = cells.iter().map(|cell| format!("<{tag}>{cell}</{tag}>"));
        cells.collect::<Vec<_>>().concat()
    };
    let titles: Vec<String> = titles.iter().map(|&title| title.to_owned()).collect();
    let mut html = format!(
        "<h2>{title}</h2>\n<div class=\"scroll\"><table>\n<tr>{}</tr>\n",
        cells("th", &titles)
    );
    for row in rows {
        let _ = writeln!(html, "<tr>{}</tr>", cells("td", &row));
    }
    html + "</table></div>\n"
}

/// A text in HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use visor_proof::{Delivery, Emitted, Lane, emitted::EmittedLane};

    use super::*;

    #[test]
    fn what_others_have_named_stays_text() {
        let name = "<script>alert(1)</script>\"&";
        let lane = EmittedLane {
            lane: Lane::live(7),
            output: name.to_owned(),
            sources: vec![name.to_owned()],
            begun: String::new(),
            lines: 3,
            handed_over: 3,
            ended: true,
            unread: 0,
        };
        let report = Emitted {
            version: 1,
            identity: name.to_owned(),
            ended: true,
            lines: 3,
            bytes: 3,
            lanes: vec![lane],
            omitted: visor_proof::emitted::Omitted::default(),
        };
        let verdict = Verdict::of(&mut Delivery::default(), &[report], None);
        let shown = Shown {
            verdict: &verdict,
            outcome: verdict.outcome(&[]),
            history: &[Point { seconds: 0, emitted: 3, delivered: 0 }],
            protocols: &BTreeMap::from([(name.to_owned(), Traffic::default())]),
            faults: &FaultCounts::from([(("loki", "reject"), 3)]),
        };
        let page = page(&shown);
        assert!(!page.contains("<script>alert"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&amp;"));
        assert!(page.contains("<h2>Sources</h2>"), "{page}");
        assert!(page.contains("<div class=\"bad\"><dt>missing</dt><dd>3</dd></div>"));
        assert!(page.contains("Not all lines arrived once and intact."));
    }
}
