//! Files as collectors write them.

use serde_json::json;

use super::*;
use crate::{
    Delivery, Emitted, Lane, Verdict,
    delivery::Contents,
    emitted::{EmittedLane, Omitted, VERSION},
    token::{PLACEHOLDER, Token, Writer},
    verdict::Counts,
};

const LANE: Lane = Lane::live(5);

fn line(text: &str, number: u32) -> String {
    let mut line = text.replace('@', std::str::from_utf8(PLACEHOLDER).unwrap()).into_bytes();
    assert!(Writer::new(LANE).complete(&mut line, 1_767_323_045_678, number, 16));
    String::from_utf8(line).unwrap()
}

fn combined(number: u32) -> String {
    line(
        r#"192.0.2.1 - - [02/Jan/2026:03:04:05 +0000] "GET /a?id=@ HTTP/1.1" 200 5 "-" "a,b""#,
        number,
    )
}

/// A file with these lines.
fn file<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) -> String {
    lines.into_iter().map(|line| line.as_ref().to_owned() + "\n").collect()
}

fn emitted(lines: u32) -> Emitted {
    let lane = EmittedLane {
        lane: LANE,
        output: "access.log".to_owned(),
        sources: vec!["shop/web".to_owned()],
        begun: "2026-01-02T03:04:05Z".to_owned(),
        lines,
        handed_over: lines,
        ended: true,
        unread: 0,
    };
    Emitted {
        version: VERSION,
        identity: String::new(),
        ended: true,
        lines: lines.into(),
        bytes: 0,
        lanes: vec![lane],
        omitted: Omitted::default(),
    }
}

fn deliver(delivery: &mut Delivery, name: &str, text: &str) {
    let mut input = delivery.input(name);
    let mut decoder = Decoder::default();
    text.split_inclusive('\n').for_each(|line| decoder.line(line.as_bytes(), &mut input));
    decoder.finish(&mut input);
    input.finish();
}

/// The verdict on a file, of so many emitted lines.
fn verdict(lines: u32, text: &str) -> Verdict {
    let mut delivery = Delivery::default();
    deliver(&mut delivery, "a", text);
    Verdict::of(&mut delivery, &[emitted(lines)], None)
}

fn all(lines: u32) -> Counts {
    Counts { emitted: lines.into(), delivered: lines.into(), ..Counts::default() }
}

/// The token of a line, as a field of its own.
fn identifier(line: &str) -> String {
    let at = Token::find(line.as_bytes(), 0).unwrap().at;
    line[at..at + crate::token::LENGTH].to_owned()
}

#[test]
fn a_line_is_found_in_json_of_any_shape() {
    let shapes: [fn(&str) -> String; 9] = [
        |line| json!({"message": line}).to_string(),
        |line| json!({"id": identifier(line), "log": {"original": line}, "n": 1}).to_string(),
        |line| json!({"message": line, "id": identifier(line), "path": "/a"}).to_string(),
        |line| json!({"log": format!("{line}\n"), "stream": "stdout", "time": "t"}).to_string(),
        |line| json!({"message": json!({"message": line}).to_string()}).to_string(),
        |line| json!({"a": json!({"b": json!({"c": line}).to_string()}).to_string()}).to_string(),
        |line| json!({"values": [["1767323045", line]]}).to_string(),
        |line| json!([{"message": line}]).to_string(),
        // Some escape more than they must.
        |line| json!({"message": line}).to_string().replace('/', "\\/").replace('_', "\\u005f"),
    ];
    for (index, shape) in shapes.iter().enumerate() {
        let text: String = (0..3).map(|number| shape(&combined(number)) + "\n").collect();
        let verdict = verdict(3, &text);
        assert_eq!(verdict.total, all(3), "{index}: {text}");
        assert_eq!(verdict.unchecked, 0, "{index}");
    }
}

/// A list may be in one line, in a line for each item, or in lines for each of its fields.
#[test]
fn lists_and_objects_over_several_lines_are_read() {
    let items: Vec<_> = (0..3).map(|number| json!({"n": 1, "message": combined(number)})).collect();
    let pretty = serde_json::to_string_pretty(&items).unwrap();
    let by_line = items.iter().map(ToString::to_string).collect::<Vec<_>>().join(",\n");
    let objects: String =
        items.iter().map(|item| serde_json::to_string_pretty(item).unwrap() + "\n").collect();
    let strings = json!([combined(0), combined(1), combined(2)]);
    for text in [
        serde_json::to_string(&items).unwrap(),
        pretty,
        format!("[{by_line}]\n"),
        format!("[\n{by_line}\n]\n"),
        objects,
        strings.to_string(),
        serde_json::to_string_pretty(&strings).unwrap(),
    ] {
        assert_eq!(verdict(3, &text).total, all(3), "{text}");
    }
}

/// An exporter writes many lines in one record.
#[test]
fn each_line_of_a_record_counts() {
    let records: Vec<_> = (0..40)
        .map(|number| {
            let line = combined(number);
            let id = json!({"key": "id", "value": {"stringValue": identifier(&line)}});
            json!({"body": {"stringValue": line}, "attributes": [id]})
        })
        .collect();
    let text = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).to_string();
    assert_eq!(verdict(40, &text).total, all(40));
    let twice = format!("{text}\n{text}\n");
    assert_eq!(verdict(40, &twice).total, Counts { duplicated: 40, ..all(40) });
    let cut = text.replacen("a,b", "a", 1);
    assert_eq!(verdict(40, &cut).total, Counts { truncated: 1, ..all(40) });
}

#[test]
fn what_happens_to_a_field_with_lines_is_told_apart() {
    let record = |text: &str| json!({"message": text, "host": "a"}).to_string() + "\n";
    let lines: Vec<String> = (0..6).map(combined).collect();
    let text = [
        record(&lines[0]),
        record(&lines[1][..100]),
        record(&lines[2].replace("200", "201")),
        record(&format!("{}{}", lines[3], lines[4])),
        record(&lines[5][..95]),
        record(&lines[5][95..]),
        record("nothing"),
    ];
    let counts = Counts { truncated: 1, altered: 1, merged: 1, split: 1, foreign: 1, ..all(6) };
    assert_eq!(verdict(6, &text.concat()).total, counts);
}

#[test]
fn of_parsed_lines_only_the_token_is_known() {
    let text = |number: u32| {
        let target = format!("/a?id={}", identifier(&combined(number)));
        json!({"client": "192.0.2.1", "target": target, "status": 200}).to_string() + "\n"
    };
    // More than may wait until more is known.
    let text: String = (0..3_000).filter(|number| *number != 7).map(text).collect();
    let verdict = verdict(3_000, &text);
    assert_eq!(verdict.total, Counts { delivered: 2_999, missing: 1, ..all(3_000) });
    assert_eq!(verdict.unchecked, 2_999);
}

#[test]
fn what_a_field_has_can_be_said() {
    let text = json!({"message": &combined(0)[..100]}).to_string();
    assert_eq!(verdict(1, &text).total, all(1));
    for (contents, truncated) in [(Contents::Lines, 1), (Contents::Unchecked, 0)] {
        let mut delivery = Delivery::default();
        delivery.set_contents("message", contents);
        let others: String =
            (1..5).map(|number| json!({"message": combined(number)}).to_string() + "\n").collect();
        deliver(&mut delivery, "a", &format!("{text}\n{others}"));
        let verdict = Verdict::of(&mut delivery, &[emitted(5)], None);
        assert_eq!(verdict.total, Counts { truncated, ..all(5) });
    }
}

/// Lines in JSON are records themselves. Damage to one isn't that of a field.
#[test]
fn a_record_that_is_a_line_itself_is_checked() {
    let json = |number| line(r#"{"id":"@","message":"a \"b\"","status":200}"#, number) + "\n";
    let text: String = (0..4).map(json).collect();
    assert_eq!(verdict(4, &text).total, all(4));
    let text = format!("{}{}", text, json(4).replace("200", "201"));
    assert_eq!(verdict(5, &text).total, Counts { altered: 1, ..all(5) });
    let in_container: String =
        (0..4).map(|number| json!({"log": json(number)}).to_string() + "\n").collect();
    assert_eq!(verdict(4, &in_container).total, all(4));
}

#[test]
fn columns_are_told_apart_from_lines_with_commas() {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let row = |number| format!("2026-01-02,{},web-0\n", quoted(&combined(number)));
    let rows: String = (0..5).map(row).collect();
    assert_eq!(verdict(5, &rows).total, all(5));
    let header = "time,message,host\n";
    assert_eq!(verdict(5, &format!("{header}{rows}")).total, all(5));
    let cut = format!("2026-01-02,{},web-0\n", quoted(&combined(5)[..100]));
    for header in [header, ""] {
        let total = verdict(6, &format!("{header}{rows}{cut}")).total;
        assert_eq!(total, Counts { truncated: 1, ..all(6) });
    }
    let parsed = |number| format!("192.0.2.1,/a?id={},200", identifier(&combined(number)));
    let parsed = file((0..5).map(parsed));
    let verdict_on = verdict(5, &format!("client,target,status\n{parsed}"));
    assert_eq!((verdict_on.total, verdict_on.unchecked), (all(5), 5));
    // The first line of a plain file is foreign.
    let plain: String = (0..5).map(|number| combined(number) + "\n").collect();
    let altered = combined(5).replace("200", "201");
    let total = verdict(6, &format!("a plain, first line\n{plain}{altered}\n")).total;
    assert_eq!(Counts { foreign: 0, ..total }, Counts { altered: 1, ..all(6) });
}

#[test]
fn parts_that_a_runtime_has_written_are_put_together() {
    let (one, two) = (combined(0), combined(1));
    let cri = |stream: &str, tag: &str, text: &str| {
        format!("2026-01-02T03:04:05.678901234Z {stream} {tag} {text}\n")
    };
    let text = [
        cri("stdout", "P", &one[..80]),
        // The streams of a container don't wait for each other.
        cri("stderr", "P", &two[..90]),
        cri("stdout", "F", &one[80..]),
        cri("stderr", "F:x", &two[90..]),
        cri("stdout", "F", &combined(2)),
    ];
    assert_eq!(verdict(3, &text.concat()).total, all(3));
    let docker = |stream: &str, text: &str| {
        json!({"log": text, "stream": stream, "time": "2026-01-02T03:04:05Z"}).to_string() + "\n"
    };
    let text = [
        docker("stdout", &one[..80]),
        docker("stderr", &two[..90]),
        docker("stdout", &format!("{}\n", &one[80..])),
        docker("stderr", &format!("{}\n", &two[90..])),
        docker("stdout", &format!("{}\n", combined(2))),
    ];
    assert_eq!(verdict(3, &text.concat()).total, all(3));
}

/// Limits of collectors and runtimes, and one byte more or less.
#[test]
fn long_lines_survive_parts_and_are_told_apart_when_cut() {
    for length in [4_095, 4_096, 4_097, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537] {
        let text = format!("GET /?id=@ {} end", "x".repeat(length - crate::token::LENGTH - 14));
        let lines: Vec<String> = (0..3).map(|number| line(&text, number)).collect();
        assert_eq!(lines[0].len(), length);
        let mut parts = Vec::new();
        for line in &lines {
            let chunks: Vec<&str> =
                line.as_bytes().chunks(16_384).map(|c| std::str::from_utf8(c).unwrap()).collect();
            for (index, chunk) in chunks.iter().enumerate() {
                let tag = if index + 1 == chunks.len() { "F" } else { "P" };
                parts.push(format!("2026-01-02T03:04:05.678901234Z stdout {tag} {chunk}"));
            }
        }
        assert_eq!(verdict(3, &file(parts)).total, all(3), "{length}");
        let split: String = lines
            .iter()
            .flat_map(|line| line.as_bytes().chunks(8_192))
            .map(|chunk| json!({"message": std::str::from_utf8(chunk).unwrap()}).to_string() + "\n")
            .collect();
        let expected = if length <= 8_192 { all(3) } else { Counts { split: 3, ..all(3) } };
        assert_eq!(verdict(3, &split).total, expected, "{length}");
        let cut = file(lines.iter().map(|line| &line[..length - 1]));
        let verdict = verdict(3, &cut);
        assert_eq!(verdict.total, Counts { truncated: 3, ..all(3) }, "{length}");
    }
}

/// Every line also has an identifier of the real module, and a text that has a marker.
#[test]
fn lookalikes_make_no_lane_and_hide_no_fault() {
    let text =
        r#"192.0.2.1 "GET /?x=aaaaaaa_V-aaaaaaaaaaaaaaaaA&id=@" aVfx5sCoAQIAAAbLk9sAAAAD 200"#;
    let lines: Vec<String> = (0..8).map(|number| line(text, number)).collect();
    let plain = file(&lines);
    assert_eq!(verdict(8, &plain).total, all(8));
    let mut damaged = lines[..4].to_vec();
    damaged.push(lines[4][..lines[4].len() - 2].to_owned());
    damaged.push(lines[5].replace(" 200", " 201"));
    damaged.push(format!("{}{}", lines[6], lines[7]));
    let damaged = file(damaged);
    let counts = Counts { truncated: 1, altered: 1, merged: 1, ..all(8) };
    assert_eq!(verdict(8, &damaged).total, counts);
    let json: String = lines.iter().map(|line| json!({"m": line}).to_string() + "\n").collect();
    assert_eq!(verdict(8, &json).total, all(8));
}

/// Whatever a file has, there is a verdict, and each line of it is counted.
#[test]
fn nothing_is_too_strange() {
    for text in [
        "{",
        "{\n",
        "[",
        "[{",
        "[{\n}\n]",
        "]",
        "}",
        "{\"a\":",
        "\"",
        ",",
        "a,b",
        "[\"",
        "\u{0}",
        "{\"log\":\"\",\"stream\":\"stdout\",\"time\":\"\"}",
        "2026-01-02T03:04:05.678901234Z stdout P ",
        "{\"a\":\"aaaaaaa_V-aaaaaaaaaaaaaaaaA\\",
        "\"aaaaaaa_V-aaaaaaaaaaaaaaaaA\":1}",
        "{\"aaaaaaa_V-aaaaaaaaaaaaaaaaA\":1}",
        "{\"a\":\"\\\\\\\"aaaaaaa_V-aaaaaaaaaaaaaaaaA\"}",
    ] {
        let _ = verdict(1, text);
    }
    // Deeper than a stack is.
    for text in ["[", "{\"a\":", "[\"[", "[{\"a\":["] {
        let _ = verdict(1, &text.repeat(1 << 20));
    }
}
