//! Certificates that something else provides, such as cert-manager: `tls.crt` and `tls.key` in a
//! directory. They are reloaded when they change, as the kubelet updates the files of a mounted
//! Secret. The files are polled, because the kubelet swaps a mounted directory as a whole.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{task::spawn_blocking, time::sleep};
use tracing::warn;

use super::resolver::{Loaded, Resolver};

const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// The contents of both files.
type FileContents = (Vec<u8>, Vec<u8>);

/// Presents what is in a directory, and follows its changes. Invalid files are ignored.
pub(crate) async fn follow_files(directory: PathBuf, resolver: Arc<Resolver>) {
    let mut files = Files::new(directory);
    loop {
        let polled = spawn_blocking(move || {
            let loaded = files.poll();
            (files, loaded)
        });
        // It fails only when the program is shutting down.
        let Ok((back, loaded)) = polled.await else { return };
        files = back;
        if let Some(loaded) = loaded {
            resolver.set(loaded);
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// The files, and what they contained the last time.
struct Files {
    directory: PathBuf,
    last: Option<Result<FileContents, io::ErrorKind>>,
}

impl Files {
    fn new(directory: PathBuf) -> Self {
        Self { directory, last: None }
    }

    /// The certificate to present, if the files have changed. Each problem is logged once.
    fn poll(&mut self) -> Option<Loaded> {
        let found = read(&self.directory);
        let seen = found.as_ref().map(Clone::clone).map_err(io::Error::kind);
        if self.last.as_ref() == Some(&seen) {
            return None;
        }
        let directory = self.directory.display();
        let loaded = match found {
            Ok((certificate, key)) => Loaded::read(&certificate, &key).map_err(|error| {
                warn!(%directory, %error, "cannot use tls.crt and tls.key; waiting for new ones");
            }),
            Err(error) => {
                warn!(%directory, %error, "cannot read tls.crt and tls.key; waiting for them");
                Err(())
            }
        };
        self.last = Some(seen);
        loaded.ok()
    }
}

/// Reads both files consistently: until two reads return the same contents.
fn read(directory: &Path) -> io::Result<FileContents> {
    const ATTEMPTS: usize = 3;
    let both = || Ok((fs::read(directory.join("tls.crt"))?, fs::read(directory.join("tls.key"))?));
    let mut last: io::Result<FileContents> = both();
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
        assert!(files.poll().is_none());
        let (one, two) = (signed("one"), signed("two"));
        write(&place, &one.chain, &one.key);
        assert!(files.poll().is_some());
        assert!(files.poll().is_none(), "it has not changed");
        write(&place, &two.chain, &one.key);
        assert!(files.poll().is_none(), "the key is another one's");
        write(&place, &two.chain, "no key");
        assert!(files.poll().is_none());
        write(&place, "", &two.key);
        assert!(files.poll().is_none());
        write(&place, &two.chain, &two.key);
        assert!(files.poll().is_some());
        fs::remove_dir_all(&place).unwrap();
        assert!(files.poll().is_none());
        write(&place, &two.chain, &two.key);
        assert!(files.poll().is_some());
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
        let first = files.poll().unwrap();
        symlink("..2", place.join("..next")).unwrap();
        fs::rename(place.join("..next"), place.join("..data")).unwrap();
        let second = files.poll().unwrap();
        assert_ne!(first.certificate(), second.certificate());
    }
}
