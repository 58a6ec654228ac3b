//! Records, told apart by looking, as those of a file: plain lines, JSON by line or in a list, CSV, and the
//! lines of container runtimes. Records that a runtime has written in parts are put together.

mod container;
mod csv;
mod json;

use csv::Table;
use memchr::memchr;

use crate::{
    delivery::{Field, Input},
    token::Token,
};

/// The maximum number of bytes of a record.
pub const MAX_RECORD: usize = 16 << 20;

/// Reads the lines of a file.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Whether a line was read.
    has_begun: bool,
    /// What a container runtime has written of a record so far, by its stream.
    parts: [Vec<u8>; 2],
    /// The lines of an object that has several, and the white space before the first.
    object: Option<(Vec<u8>, usize)>,
    /// Whether the fields of lines are columns.
    table: Option<Table>,
    intact_lines: json::IntactLines,
}

impl Decoder {
    /// Adds a line, with its end or without.
    pub fn line(&mut self, line: &[u8], input: &mut Input<'_>) {
        if let Some((object, indent)) = &mut self.object {
            object.extend_from_slice(line);
            let text = line.trim_ascii_start();
            let is_end = text.starts_with(b"}") && line.len() - text.len() <= *indent;
            if is_end || object.len() > MAX_RECORD {
                let object = std::mem::take(object);
                self.object = None;
                self.json(&object, input);
            }
            return;
        }
        match container::line(line) {
            Some(part) => self.part(part.stream, part.text, part.is_last, input),
            None => self.text(line, input),
        }
    }

    /// Ends the file.
    pub fn finish(mut self, input: &mut Input<'_>) {
        for part in std::mem::take(&mut self.parts) {
            self.text(&part, input);
        }
        if let Some((object, _)) = self.object.take() {
            self.json(&object, input);
        }
    }

    /// What it has of records that aren't whole yet.
    pub fn unfinished(&self) -> impl Iterator<Item = &[u8]> {
        let object = self.object.iter().map(|(object, _)| object);
        self.parts.iter().chain(object).map(Vec::as_slice).filter(|bytes| !bytes.is_empty())
    }

    /// Adds a record that isn't a line of a file.
    pub fn record(&mut self, record: &[u8], input: &mut Input<'_>) {
        if let Some(part) = container::line(record) {
            return self.part(part.stream, part.text, part.is_last, input);
        }
        match record.trim_ascii() {
            text @ [b'{', ..] => self.json(text, input),
            _ => input.record(record),
        }
    }

    /// Adds a record with a head, such as that of syslog, before a line or JSON.
    pub fn message(&mut self, message: &[u8], input: &mut Input<'_>) {
        if input.intact(message) {
            return;
        }
        let object = memchr(b'{', message).map(|start| message[start..].trim_ascii_end());
        match object.filter(|object| json::is_object(object) && !input.has_line(message)) {
            Some(object) => self.json(object, input),
            None => input.record(message),
        }
    }

    /// Adds a record that has texts with names. A text may be JSON, which has further ones.
    pub fn fields(&mut self, fields: &[Field<'_>], input: &mut Input<'_>) {
        let last = input.last_field().map(str::to_owned);
        let fields: Vec<Field<'_>> =
            fields.iter().flat_map(|field| json::fields_of(field, last.as_deref())).collect();
        input.fields(&[], &fields);
    }

    /// Adds a part of a record that a container runtime has written.
    fn part(&mut self, stream: usize, text: &[u8], is_last: bool, input: &mut Input<'_>) {
        let so_far = &mut self.parts[stream];
        if so_far.is_empty() && is_last {
            return self.text(text, input);
        }
        so_far.extend_from_slice(text);
        if is_last || so_far.len() > MAX_RECORD {
            let whole = std::mem::take(so_far);
            self.text(&whole, input);
        }
    }

    /// Adds a record.
    fn text(&mut self, line: &[u8], input: &mut Input<'_>) {
        let text = line.trim_ascii();
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        match text {
            [] => {}
            b"{" | b"[{" => {
                let indent = line.len() - line.trim_ascii_start().len();
                let object = line.strip_prefix(b"[").unwrap_or(line).to_vec();
                self.object = Some((object, indent));
            }
            [b'{', ..] => self.json(text, input),
            [b'[', ..] if json::is_list(text) => self.list(text, input),
            b"]" | b"]," | b"," => {}
            [b'"', ..] => match json::string(text.strip_suffix(b",").unwrap_or(text)) {
                Some(item) => self.text(item.as_bytes(), input),
                None => self.plain(line, is_first, input),
            },
            _ => self.plain(line, is_first, input),
        }
    }

    /// Adds the items of a list that begins here. Those that aren't in this line follow, each in a line
    /// of its own.
    fn list(&mut self, text: &[u8], input: &mut Input<'_>) {
        let mut rest = text[1..].trim_ascii_start();
        while let Some((item, behind)) = json::first_item(rest) {
            match json::string(item) {
                Some(line) => self.text(line.as_bytes(), input),
                None => self.json(item, input),
            }
            rest = behind;
            let Some(next) = rest.strip_prefix(b",") else { break };
            rest = next.trim_ascii_start();
        }
        if !matches!(rest, b"" | b"]" | b"],") {
            self.json(rest, input);
        }
    }

    /// Adds an object, or another value.
    fn json(&mut self, text: &[u8], input: &mut Input<'_>) {
        let text = text.trim_ascii();
        if let Some(first) = Token::find(text, 0)
            && (input.intact_record(text, first) || self.intact_lines.add(text, first, input))
        {
            return;
        }
        if let Some((stream, part)) = json::container_line(text) {
            return self.part(stream, part.as_bytes(), part.ends_with('\n'), input);
        }
        let item = text.strip_suffix(b",").or_else(|| text.strip_suffix(b"]")).unwrap_or(text);
        let last = input.last_field();
        let fields = json::fields(text, last).or_else(|| json::fields(item, last));
        match fields {
            Some(fields) => input.fields(text, &fields),
            None => input.record(text),
        }
    }

    /// Adds a line that is plain text, or one of a table.
    fn plain(&mut self, line: &[u8], is_first: bool, input: &mut Input<'_>) {
        if is_first && let Some(table) = Table::with_header(line) {
            self.table = Some(table);
            return;
        }
        if input.intact(line) {
            // In a table of one column, too, a line is the record.
            self.table = None;
            return;
        }
        if let Some(table) = &self.table {
            return input.fields(line, &table.fields(line));
        }
        let table = Table::default();
        let fields = table.fields(line);
        if fields.len() > 1
            && fields.iter().any(|field| input.is_line(&field.text))
            && !input.has_line(line)
        {
            input.fields(line, &fields);
            self.table = Some(table);
        } else {
            input.record(line);
        }
    }
}

#[cfg(test)]
mod tests;
