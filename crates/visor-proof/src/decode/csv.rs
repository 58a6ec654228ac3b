//! Lines with columns: comma-separated values (RFC 4180), with a header or without.

use std::borrow::Cow;

use csv_core::{ReadRecordResult, Reader};
use memchr::memchr_iter;

use crate::{delivery::Field, token::Token};

/// The maximum number of columns of a header.
const MAX_COLUMNS: usize = 1_000;
/// The maximum number of bytes of a column's title.
const MAX_TITLE: usize = 64;

/// What is known about the columns.
#[derive(Debug, Default)]
pub(super) struct Table {
    titles: Vec<String>,
}

impl Table {
    /// The table whose header this line is, if it looks like one.
    pub(super) fn with_header(line: &[u8]) -> Option<Self> {
        let is_of_title = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.@: /".contains(byte);
        let titles = values(line);
        let is_header = (2..=MAX_COLUMNS).contains(&titles.len())
            && Token::find(line, 0).is_none()
            && titles.iter().all(|title| {
                (1..=MAX_TITLE).contains(&title.len()) && title.iter().all(is_of_title)
            });
        is_header.then(|| Self {
            titles: titles.iter().map(|t| String::from_utf8_lossy(t).into_owned()).collect(),
        })
    }

    /// The fields of a line. A column without a title is named by its number, from 1.
    pub(super) fn fields(&self, line: &[u8]) -> Vec<Field<'static>> {
        let name = |index: usize| match self.titles.get(index) {
            Some(title) => title.clone(),
            None => (index + 1).to_string(),
        };
        let fields = values(line).into_iter().enumerate();
        fields
            .map(|(index, text)| Field { name: Cow::Owned(name(index)), text: Cow::Owned(text) })
            .collect()
    }
}

/// The values of a line.
fn values(line: &[u8]) -> Vec<Vec<u8>> {
    let mut text = vec![0; line.len() + 1];
    // Each comma begins one.
    let mut ends = vec![0; memchr_iter(b',', line).count() + 2];
    let mut reader = Reader::new();
    let (mut read, mut written, mut count) = (0, 0, 0);
    loop {
        let (result, taken, added, ended) =
            reader.read_record(&line[read..], &mut text[written..], &mut ends[count..]);
        read += taken;
        written += added;
        count += ended;
        // The end of the input is read as an empty one.
        if result != ReadRecordResult::InputEmpty {
            break;
        }
    }
    let starts = [0].into_iter().chain(ends[..count].iter().copied());
    starts.zip(&ends[..count]).map(|(start, end)| text[start..*end].to_vec()).collect()
}
