//! Rotation by rename: the file gets another name, and a new one is created. Collectors follow the
//! renamed file to its end.

use jiff::Timestamp;

use crate::output::{
    OutputError,
    destination::{
        descriptor::Descriptor,
        file::{
            directory::{Directory, FileId, FileLocation},
            names::Names,
            open,
        },
    },
};

/// Rotates, and returns which file generation 1 is then, if it is kept.
pub(super) fn rotate(
    directory: &Directory,
    location: &FileLocation,
    names: &Names,
    keep: u32,
    output: &mut Descriptor,
    now: Timestamp,
) -> Result<FileId, OutputError> {
    let rotated = FileId::of(output.file()).map_err(directory.failed("examine", names.live()))?;
    // With `keep` 0 the file is removed only when the new one exists.
    let aside = if keep == 0 { names.partial() } else { names.plain(1) };
    names.make_room(directory, keep)?;
    directory.set_aside_if_foreign(&aside)?;
    directory.rename(names.live(), &aside)?;
    match open(location, now) {
        Ok(new) => *output = new,
        Err(error) => {
            // Lines continue in the old file, under its old name if possible.
            let _ = directory.rename(&aside, names.live());
            return Err(error);
        }
    }
    if keep == 0 {
        directory.clear(&aside)?;
    }
    Ok(rotated)
}
