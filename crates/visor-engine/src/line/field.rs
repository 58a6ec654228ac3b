//! The fields of lines: each has all its possible values, and the draw that selects one. Values are
//! not escaped: that is up to the format.

use std::borrow::Cow;

/// A draw of a line. Related fields share a draw: a target has a path and a query, an exchange has a
/// method and a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw(u16);

impl Draw {
    /// The client.
    pub const CLIENT: Self = Self(0);
    /// As whom.
    pub const USER: Self = Self(1);
    /// For what.
    pub const TARGET: Self = Self(2);
    /// How, and how that ends.
    pub const EXCHANGE: Self = Self(3);
    /// By which protocol.
    pub const PROTOCOL: Self = Self(4);
    /// From which page.
    pub const REFERER: Self = Self(5);
    /// With what program.
    pub const USER_AGENT: Self = Self(6);
    /// Of which host.
    pub const VIRTUAL_HOST: Self = Self(7);
    /// By what kind of TLS.
    pub const TLS: Self = Self(8);
    /// The content type. Not random: it depends on the target and the status.
    pub const CONTENT_TYPE: Self = Self(9);
    /// The message that replaces the request line.
    pub const MESSAGE: Self = Self(10);
    /// The file. Not random: it depends on the target and the status.
    pub const FILENAME: Self = Self(11);
    /// The host. Not random: it is the target's, or else the virtual host.
    pub const HOST: Self = Self(12);

    /// The CGI script that a message is about.
    pub const SCRIPT: Self = Self(13);

    const FIRST_NAMED: u16 = 14;

    /// The draw of a directive that names something, by its index in the document.
    #[expect(clippy::cast_possible_truncation, reason = "a document has far fewer")]
    pub const fn named(number: usize) -> Self {
        Self(Self::FIRST_NAMED + number as u16)
    }
}

/// The indexes of the values that were drawn for a line. Reused between lines, so that a line
/// allocates nothing.
#[derive(Debug, Clone, Default)]
pub struct Draws {
    common: [u32; Draw::FIRST_NAMED as usize],
    named: Vec<u32>,
}

impl Draws {
    /// With room for this number of directives that name something.
    pub fn with_named(named: usize) -> Self {
        Self { named: vec![0; named], ..Self::default() }
    }

    /// The index of the value that was drawn.
    #[inline]
    pub fn get(&self, draw_of: Draw) -> usize {
        let at = usize::from(draw_of.0);
        match self.common.get(at) {
            Some(number) => *number as usize,
            None => self.named.get(at - self.common.len()).map_or(0, |number| *number as usize),
        }
    }

    /// Sets the index of a value: that of a table, which fits 32 bits.
    #[expect(clippy::cast_possible_truncation, reason = "no table has more values")]
    #[inline]
    pub fn set(&mut self, draw_of: Draw, number: usize) {
        let at = usize::from(draw_of.0);
        match self.common.get_mut(at) {
            Some(common) => *common = number as u32,
            None => {
                if let Some(named) = self.named.get_mut(at - self.common.len()) {
                    *named = number as u32;
                }
            }
        }
    }
}

/// A field: its possible values, and the draw that selects one.
#[derive(Debug, Clone)]
pub struct Field<'a> {
    /// The draw.
    pub draw_of: Draw,
    /// The values, not escaped. An absent one is `-`.
    pub values: Vec<Cow<'a, [u8]>>,
}

impl<'a> Field<'a> {
    /// A field with these values.
    pub fn new<V: Into<Cow<'a, [u8]>>>(draw_of: Draw, values: impl IntoIterator<Item = V>) -> Self {
        Self { draw_of, values: values.into_iter().map(Into::into).collect() }
    }

    /// A constant field.
    pub fn only(draw_of: Draw, value: impl Into<Cow<'a, [u8]>>) -> Self {
        Self { draw_of, values: vec![value.into()] }
    }

    /// A field that no line has.
    pub fn absent(draw_of: Draw) -> Self {
        Self::only(draw_of, b"-".as_slice())
    }

    /// Whether no line has it.
    pub fn is_absent(&self) -> bool {
        self.values.iter().all(|value| **value == *b"-")
    }
}
