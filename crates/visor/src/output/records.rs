//! Records on their way to a destination. A record is what is written whole: usually a line. Where
//! it ends is known, not searched for, so it may hold newlines.

/// Some records, in order. The first one may have lost its start, which was written before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Records<'a> {
    bytes: &'a [u8],
    ends: &'a [usize],
    /// Bytes before these, from which the ends count as well.
    before: usize,
}

impl<'a> Records<'a> {
    /// Records in these bytes, with these ends; the last end is the number of bytes.
    pub(crate) fn new(bytes: &'a [u8], ends: &'a [usize]) -> Self {
        Self { bytes, ends, before: 0 }
    }

    /// The bytes of all records.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The length of the first one.
    pub(crate) fn first(&self) -> usize {
        self.ends.first().map_or(self.len(), |end| end - self.before)
    }

    /// The length of the records that are complete within the first `length` bytes; `None` if not
    /// even the first one is.
    pub(crate) fn complete_within(&self, length: usize) -> Option<usize> {
        let end = self.before.saturating_add(length);
        let complete = self.ends.partition_point(|known| *known <= end).checked_sub(1)?;
        Some(self.ends[complete] - self.before)
    }

    /// The first `length` bytes: complete records, or the start of the first one.
    pub(crate) fn until(&self, length: usize) -> Self {
        let complete = self.ends.partition_point(|end| *end <= self.before + length);
        Self { bytes: &self.bytes[..length], ends: &self.ends[..complete], ..*self }
    }

    /// What follows the first `length` bytes.
    pub(crate) fn after(&self, length: usize) -> Self {
        let before = self.before + length;
        let complete = self.ends.partition_point(|end| *end <= before);
        Self { bytes: &self.bytes[length..], ends: &self.ends[complete..], before }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_end_where_they_end_and_not_at_newlines() {
        let all = Records::new(b"a\nb\n+c\n", &[4, 5, 7]);
        assert_eq!((all.len(), all.first()), (7, 4));
        assert_eq!((all.complete_within(3), all.complete_within(4)), (None, Some(4)));
        assert_eq!((all.complete_within(6), all.complete_within(usize::MAX)), (Some(5), Some(7)));
        let rest = all.after(2);
        assert_eq!((rest.bytes(), rest.first()), (b"b\n+c\n".as_slice(), 2));
        assert_eq!((rest.complete_within(1), rest.complete_within(3)), (None, Some(3)));
        let part = rest.until(3);
        assert_eq!((part.bytes(), part.complete_within(3)), (b"b\n+".as_slice(), Some(3)));
        assert_eq!(all.until(3).complete_within(3), None);
        assert!(all.after(7).is_empty());
    }
}
