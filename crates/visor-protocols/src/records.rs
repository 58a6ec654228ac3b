//! Where the records of a request go.

use http::StatusCode;
use memchr::memchr_iter;
use visor_proof::{
    decode::Decoder,
    delivery::{Field, Input},
};

/// What is done with an item of a request that has many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// It is taken.
    Taken,
    /// It isn't, and its sender is told so by this status.
    Rejected(StatusCode),
}

/// The records of a request.
pub struct Records<'a> {
    input: Input<'a>,
    decoder: &'a mut Decoder,
    /// The number of the request.
    request: u64,
    are_acknowledged: bool,
    /// Says what is done with the next item.
    judge: &'a mut dyn FnMut() -> Item,
    taken: u64,
}

impl<'a> Records<'a> {
    /// Records that go to this input.
    pub fn new(
        input: Input<'a>,
        decoder: &'a mut Decoder,
        request: u64,
        are_acknowledged: bool,
        judge: &'a mut dyn FnMut() -> Item,
    ) -> Self {
        Self { input, decoder, request, are_acknowledged, judge, taken: 0 }
    }

    /// The number of the request, which no other one has.
    pub const fn request(&self) -> u64 {
        self.request
    }

    /// Whether the records are acknowledged, where the protocol does that.
    pub const fn are_acknowledged(&self) -> bool {
        self.are_acknowledged
    }

    /// Adds a record that is a text: a line as it was written, or JSON.
    pub fn text(&mut self, text: &[u8]) {
        self.taken += 1;
        self.decoder.record(text, &mut self.input);
    }

    /// The same for an item of a request, whose client is told what is done with each.
    pub fn item(&mut self, text: &[u8]) -> Item {
        let item = (self.judge)();
        if item == Item::Taken {
            self.text(text);
        }
        item
    }

    /// Adds a line of a file that goes on.
    pub fn line(&mut self, line: &[u8]) {
        self.taken += 1;
        self.decoder.line(line, &mut self.input);
    }

    /// Adds a message, which has a head before its text.
    pub fn message(&mut self, message: &[u8]) {
        self.taken += 1;
        self.decoder.message(message, &mut self.input);
    }

    /// Adds a record that has texts with names.
    pub fn fields(&mut self, fields: &[Field<'_>]) {
        self.taken += 1;
        self.decoder.fields(fields, &mut self.input);
    }

    /// Adds the records of a file.
    pub fn file(&mut self, file: &[u8]) {
        let mut decoder = Decoder::default();
        let mut start = 0;
        let ends = memchr_iter(b'\n', file).map(|end| end + 1).chain([file.len()]);
        for end in ends.filter(|end| *end > 0) {
            if start < end {
                decoder.line(&file[start..end], &mut self.input);
                self.taken += 1;
            }
            start = end;
        }
        decoder.finish(&mut self.input);
    }

    /// How many records were taken, and the input that they went to.
    pub fn finish(self) -> (u64, Input<'a>) {
        (self.taken, self.input)
    }
}
