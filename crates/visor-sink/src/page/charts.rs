//! The charts of the page, as SVG.

use std::fmt::Write;

use visor_proof::latency::BOUNDS;

use crate::history::Point;

/// The size of a chart, and the space around what it shows.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 200.0;
const MARGIN: f64 = 30.0;

/// Lines emitted and delivered over time.
pub(super) fn over_time(points: &[Point]) -> String {
    let last = points.last().copied().unwrap_or(Point { seconds: 0, emitted: 0, delivered: 0 });
    let (seconds, most) = (last.seconds.max(1), last.emitted.max(last.delivered).max(1));
    let line = |class: &str, value: fn(&Point) -> u64| {
        let mut places = String::new();
        for point in points {
            let x = MARGIN + share(point.seconds, seconds) * (WIDTH - 2.0 * MARGIN);
            let y = HEIGHT - MARGIN - share(value(point), most) * (HEIGHT - 2.0 * MARGIN);
            // Writing to a string does not fail.
            let _ = write!(places, "{x:.1},{y:.1} ");
        }
        format!("<polyline class=\"{class}\" points=\"{}\"/>\n", places.trim_end())
    };
    let mut svg = start("Lines emitted and delivered over time");
    svg += &line("emitted", |point| point.emitted);
    svg += &line("delivered", |point| point.delivered);
    let bottom = HEIGHT - 10.0;
    let right = WIDTH - MARGIN;
    let _ = write!(
        svg,
        "<text x=\"{MARGIN}\" y=\"18\">{most} lines</text>\n\
         <text x=\"{MARGIN}\" y=\"{bottom}\">0 s</text>\n\
         <text x=\"{right}\" y=\"{bottom}\" text-anchor=\"end\">{} s</text>\n\
         <text class=\"of-emitted\" x=\"240\" y=\"18\">- - emitted</text>\n\
         <text class=\"of-delivered\" x=\"330\" y=\"18\">— delivered</text>\n",
        last.seconds,
    );
    svg + "</svg>\n"
}

/// How many lines took how long.
pub(super) fn histogram(counts: &[u64]) -> String {
    let most = counts.iter().copied().max().unwrap_or_default().max(1);
    let width = (WIDTH - 2.0 * MARGIN) / f64::from(u16::try_from(counts.len()).unwrap_or(1).max(1));
    let mut svg = start("How many lines took how long");
    let mut left = MARGIN;
    for (index, count) in counts.iter().enumerate() {
        let height = share(*count, most) * (HEIGHT - 2.0 * MARGIN);
        let (top, bar) = (HEIGHT - MARGIN - height, width - 2.0);
        let bound = BOUNDS.get(index).map_or_else(|| "more".to_owned(), |bound| name(*bound));
        let _ = writeln!(
            svg,
            "<rect class=\"bar\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{bar:.1}\" \
             height=\"{height:.1}\"><title>{bound}: {count}</title></rect>",
        );
        if index % 3 == 1 {
            let (x, y) = (left + width / 2.0, HEIGHT - 10.0);
            let _ =
                writeln!(svg, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{bound}</text>");
        }
        left += width;
    }
    let _ = writeln!(svg, "<text x=\"{MARGIN}\" y=\"18\">{most} lines</text>");
    svg + "</svg>\n"
}

fn start(title: &str) -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n")
}

/// The name of a bucket by its bound.
fn name(milliseconds: i64) -> String {
    match milliseconds {
        ..0 => "before".to_owned(),
        0..1000 => format!("{milliseconds} ms"),
        _ => format!("{} s", milliseconds / 1000),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a chart has a few hundred places")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}
