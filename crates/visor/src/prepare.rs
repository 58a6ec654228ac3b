//! `visor prepare-directory`: a directory for another user. It runs as root before the generator,
//! on a hostPath volume that others may write to as well; so it changes nothing but the given
//! directory, and follows no link that replaces it.

use std::{
    fs::DirBuilder,
    os::unix::fs::{DirBuilderExt, fchown},
    path::Path,
    process::ExitCode,
    str::FromStr,
};

use anyhow::Context;
use rustix::{
    fs::{CWD, Mode, OFlags, mkdirat, openat},
    io::Errno,
};

/// The mode of created directories: others may read, not write.
const MODE: u32 = 0o755;

/// The owner of a directory, as `UID:GID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    user: u32,
    group: u32,
}

impl FromStr for Owner {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The largest number means "unchanged" to the system.
        let number = |text: &str| text.parse().ok().filter(|number| *number != u32::MAX);
        let owner = text
            .split_once(':')
            .and_then(|(user, group)| Some(Self { user: number(user)?, group: number(group)? }));
        owner.ok_or("expected a user id and a group id, such as 65532:65532")
    }
}

/// Creates the directory and its missing parents, and changes the owner of the directory alone.
pub(crate) fn directory(path: &Path, owner: Owner) -> anyhow::Result<ExitCode> {
    prepare(path, owner).with_context(|| format!("cannot prepare {}", path.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn prepare(path: &Path, owner: Owner) -> anyhow::Result<()> {
    let name = path.file_name().context("the path must end with the name of a directory")?;
    // The owner needs access to the parents, whatever the umask is.
    rustix::process::umask(Mode::from_raw_mode(!MODE & 0o777));
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        DirBuilder::new()
            .recursive(true)
            .mode(MODE)
            .create(parent)
            .context("cannot create its parent")?;
    }
    let parent = parent.unwrap_or(Path::new("."));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = openat(CWD, parent, flags, Mode::empty()).context("cannot open its parent")?;
    match mkdirat(&parent, name, Mode::from_raw_mode(MODE)) {
        Err(error) if error != Errno::EXIST => return Err(error).context("cannot create it"),
        _ => {}
    }
    // What exists now may have been created by another process.
    let directory = openat(&parent, name, flags | OFlags::NOFOLLOW, Mode::empty())
        .context("cannot open it; it must be a directory, not a symbolic link")?;
    fchown(&directory, Some(owner.user), Some(owner.group)).context("cannot change its owner")
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{MetadataExt, symlink},
    };

    use super::*;

    #[test]
    fn an_owner_is_two_numbers() {
        assert_eq!("65532:0".parse(), Ok(Owner { user: 65532, group: 0 }));
        for text in ["", "1", "1:", ":1", "root:root", "-1:-1", "1:2:3", "1:4294967295"] {
            assert!(text.parse::<Owner>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_directory_is_created_with_its_parents_and_a_link_is_rejected() {
        let home = tempfile::tempdir().unwrap();
        let mine = fs::metadata(home.path()).unwrap();
        let owner = Owner { user: mine.uid(), group: mine.gid() };
        let path = home.path().join("a/b/c/");
        for _ in 0..2 {
            prepare(&path, owner).unwrap();
            for made in [&path, &home.path().join("a"), &home.path().join("a/b")] {
                assert_eq!(fs::metadata(made).unwrap().mode() & 0o7777, MODE);
            }
        }
        symlink(&path, home.path().join("link")).unwrap();
        symlink(home.path().join("nowhere"), home.path().join("dangling")).unwrap();
        fs::write(home.path().join("file"), "").unwrap();
        for name in ["link", "link/", "dangling", "file", "a/..", "file/x"] {
            assert!(prepare(&home.path().join(name), owner).is_err(), "{name}");
        }
        assert!(!home.path().join("nowhere").exists());
        assert!(prepare(Path::new("/"), owner).is_err());
    }
}
