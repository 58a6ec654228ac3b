//! Messages of protocol buffers, of which only some fields are read, where they are. Types for whole
//! messages would take up to forty times as much memory as the bytes that a client has sent.

use protobuf::CodedInputStream;

use crate::malformed::Malformed;

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH_DELIMITED: u32 = 2;
const FIXED32: u32 = 5;

/// Calls `each` with the number and the bytes of each field of a message that has bytes.
pub(crate) fn fields<'a>(
    message: &'a [u8],
    each: &mut dyn FnMut(u32, &'a [u8]) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut input = CodedInputStream::from_bytes(message);
    while let Some((number, bytes)) =
        next(message, &mut input).map_err(|error| Malformed::new(&error))?
    {
        if let Some(bytes) = bytes {
            each(number, bytes)?;
        }
    }
    Ok(())
}

/// Calls `each` with the bytes of each field at this path of numbers.
pub(crate) fn each<'a>(
    message: &'a [u8],
    path: &[u32],
    add: &mut dyn FnMut(&'a [u8]),
) -> Result<(), Malformed> {
    let Some((first, rest)) = path.split_first() else {
        add(message);
        return Ok(());
    };
    fields(message, &mut |number, bytes| {
        if number == *first { each(bytes, rest, add) } else { Ok(()) }
    })
}

/// A field: its number, and its bytes if it has any.
type Field<'a> = (u32, Option<&'a [u8]>);

/// The next field.
fn next<'a>(
    message: &'a [u8],
    input: &mut CodedInputStream<'a>,
) -> protobuf::Result<Option<Field<'a>>> {
    let Some(tag) = input.read_raw_tag_or_eof()? else { return Ok(None) };
    let bytes = match tag & 7 {
        VARINT => input.read_raw_varint64().map(|_| None)?,
        FIXED64 => input.read_raw_little_endian64().map(|_| None)?,
        FIXED32 => input.read_raw_little_endian32().map(|_| None)?,
        LENGTH_DELIMITED => {
            let length = input.read_raw_varint32()?;
            let start = input.pos();
            input.skip_raw_bytes(length)?;
            let [start, end] =
                [start, input.pos()].map(|at| usize::try_from(at).unwrap_or(usize::MAX));
            message.get(start..end)
        }
        // Groups are of the past; nothing that is read here has one.
        _ => return Err(std::io::Error::other("a field has an unknown type").into()),
    };
    Ok(Some((tag >> 3, bytes)))
}
