//! Rotation by copy and truncate: the content is copied to another file, and the file is emptied.
//! What a collector hasn't read until then, it must find in the copy.

use std::ffi::OsStr;

use crate::output::{
    OutputError,
    destination::{
        descriptor::Descriptor,
        file::{
            directory::{Directory, FileId},
            names::Names,
        },
    },
};

/// Rotates, and returns which file generation 1 is then, if there is one.
pub(super) fn rotate(
    directory: &Directory,
    names: &Names,
    keep: u32,
    output: &mut Descriptor,
) -> Result<Option<FileId>, OutputError> {
    let (partial, first) = (names.partial(), names.plain(1));
    // The names shift only when the copy is complete: on a full disk, repeated failures must not
    // remove the older files.
    let copied = if keep == 0 {
        names.make_room(directory, keep).map(|()| None)
    } else {
        copy_content(directory, output, names, &partial).and_then(|copy| {
            names.make_room(directory, keep)?;
            directory.rename(&partial, &first)?;
            Ok(Some(copy))
        })
    };
    if copied.is_err() {
        let _ = directory.clear(&partial);
        return copied;
    }
    output.truncate().map_err(|cause| {
        // The lines are still in the file; the copy would duplicate them.
        if keep > 0 {
            let _ = directory.clear(&first);
        }
        directory.failed("empty", names.live())(cause)
    })?;
    copied
}

fn copy_content(
    directory: &Directory,
    output: &mut Descriptor,
    names: &Names,
    to: &OsStr,
) -> Result<FileId, OutputError> {
    let mut copy = directory.create(to)?;
    let copied = output.copy_to(&mut copy).and_then(|()| FileId::of(&copy));
    copied.map_err(directory.failed("copy", names.live()))
}
