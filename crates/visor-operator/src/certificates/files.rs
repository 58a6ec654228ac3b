//! Certificates that somebody else makes, such as cert-manager: `tls.crt` and `tls.key` in a
//! directory. They are read again when they have changed, as a kubelet changes the files of a
//! mounted Secret. Files are asked, for a mounted directory is swapped as a whole.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{task::spawn_blocking, time::sleep};
use tracing::warn;

use super::resolver::{Loaded, Resolver};

const PAUSE: Duration = Duration::from_secs(2);

/// The texts of certificate and key.
type Texts = (Vec<u8>, Vec<u8>);

/// Shows what is in a directory, for ever. What can't be used changes nothing.
pub(crate) async fn follow_files(directory: PathBuf, resolver: Arc<Resolver>) {
    let mut files = Files::new(directory);
    loop {
        let looked = spawn_blocking(move || {
            let loaded = files.look();
            (files, loaded)
        });
        // It ends early only with the whole program.
        let Ok((back, loaded)) = looked.await else { return };
        files = back;
        if let Some(loaded) = loaded {
            resolver.show(loaded);
        }
        sleep(PAUSE).await;
    }
}

/// Files, and what was found in them the last time.
struct Files {
    directory: PathBuf,
    last: Option<Result<Texts, io::ErrorKind>>,
}

impl Files {
    fn new(directory: PathBuf) -> Self {
        Self { directory, last: None }
    }

    /// What there is to show now, if it is something else than the last time. What is wrong is told
    /// once.
    fn look(&mut self) -> Option<Loaded> {
        let found = read(&self.directory);
        let seen = found.as_ref().map(Clone::clone).map_err(io::Error::kind);
        if self.last.as_ref() == Some(&seen) {
            return None;
        }
        let directory = self.directory.display();
        let loaded = match found {
            Ok((certificate, key)) => Loaded::read(&certificate, &key).map_err(|error| {
                warn!(%directory, %error, "tls.crt and tls.key can't be used; waiting for others");
            }),
            Err(error) => {
                warn!(%directory, %error, "tls.crt and tls.key can't be read; waiting for them");
                Err(())
            }
        };
        self.last = Some(seen);
        loaded.ok()
    }
}

/// Reads both files, from before a change or from after it: until they are the same twice.
fn read(directory: &Path) -> io::Result<Texts> {
    const ATTEMPTS: usize = 3;
    let both = || Ok((fs::read(directory.join("tls.crt"))?, fs::read(directory.join("tls.key"))?));
    let mut last: io::Result<Texts> = both();
    for _ in 1..ATTEMPTS {
        let again = both();
        if let (Ok(last), Ok(again)) = (&last, &again)
            && last == again
        {
            break;
        }
        last = again;
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::support::signed;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    fn write(directory: &Path, certificate: &str, key: &str) {
        fs::create_dir_all(directory).unwrap();
        fs::write(directory.join("tls.crt"), certificate).unwrap();
        fs::write(directory.join("tls.key"), key).unwrap();
    }

    #[test]
    fn what_changed_is_read_again_and_what_is_bad_is_not() {
        let directory = TempDir::new().unwrap();
        let place = directory.path().join("certificates");
        let mut files = Files::new(place.clone());
        assert!(files.look().is_none());
        let (one, two) = (signed("one"), signed("two"));
        write(&place, &one.chain, &one.key);
        assert!(files.look().is_some());
        assert!(files.look().is_none(), "it has not changed");
        write(&place, &two.chain, &one.key);
        assert!(files.look().is_none(), "the key is another one's");
        write(&place, &two.chain, "no key");
        assert!(files.look().is_none());
        write(&place, "", &two.key);
        assert!(files.look().is_none());
        write(&place, &two.chain, &two.key);
        assert!(files.look().is_some());
        fs::remove_dir_all(&place).unwrap();
        assert!(files.look().is_none());
        write(&place, &two.chain, &two.key);
        assert!(files.look().is_some());
    }

    #[test]
    fn a_mounted_secret_is_swapped_as_a_whole() {
        let directory = TempDir::new().unwrap();
        let place = directory.path();
        let (one, two) = (signed("one"), signed("two"));
        write(&place.join("..1"), &one.chain, &one.key);
        write(&place.join("..2"), &two.chain, &two.key);
        symlink("..1", place.join("..data")).unwrap();
        for name in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(name), place.join(name)).unwrap();
        }
        let mut files = Files::new(place.to_owned());
        let first = files.look().unwrap();
        symlink("..2", place.join("..next")).unwrap();
        fs::rename(place.join("..next"), place.join("..data")).unwrap();
        let second = files.look().unwrap();
        assert_ne!(first.certificate(), second.certificate());
    }
}
