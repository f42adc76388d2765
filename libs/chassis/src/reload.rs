//! What is read from files, and read again when they change.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{Error, Source};

/// How a process's configuration is read again. Without a file, or without a process, nothing ever is.
#[derive(Clone)]
pub(crate) struct Again {
    /// The file, and how it is read together with the environment.
    pub(crate) source: Option<(PathBuf, ReadSource)>,
    /// Told whenever somebody asks for all files to be read at once (SIGHUP).
    pub(crate) asked: watch::Receiver<()>,
}

pub(crate) type ReadSource = Arc<dyn Fn() -> Result<Source, Error> + Send + Sync>;

impl Again {
    /// Of a service that is started with its configuration in hand.
    pub(crate) fn never() -> Again {
        let (_, asked) = watch::channel(());
        Again { source: None, asked }
    }
}

/// Why one looks at the files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// It is time to.
    Due,
    /// Somebody says that they are as they should be, and waits for a line in the log.
    Asked,
}

type Read<T> = Box<dyn Fn() -> Result<T, Error> + Send>;

/// Files, and what they said when they last made sense.
pub(crate) struct Live<T> {
    files: Vec<PathBuf>,
    read: Read<T>,
    /// What stood there at the last look.
    seen: Fingerprint,
    /// What stood there when they were last read.
    read_at: Fingerprint,
    current: watch::Sender<Arc<T>>,
}

/// A hash of what stands in the files. Their times would not do: they have the resolution of a clock's tick, and a secret
/// that Kubernetes mounts is a link that is moved.
type Fingerprint = [u8; 32];

impl<T: Send + Sync + 'static> Live<T> {
    /// Reads `files` with `read`, for the first time.
    ///
    /// # Errors
    /// When they cannot be used.
    pub(crate) fn new(
        files: Vec<PathBuf>,
        read: impl Fn() -> Result<T, Error> + Send + 'static,
    ) -> Result<Live<T>, Error> {
        // Before they are read: a change in between is then seen as one.
        let seen = fingerprint(&files);
        let (current, _) = watch::channel(Arc::new(read()?));
        Ok(Live {
            files,
            read: Box::new(read),
            seen,
            read_at: seen,
            current,
        })
    }

    /// What is in force, now and later.
    pub(crate) fn current(&self) -> watch::Receiver<Arc<T>> {
        self.current.subscribe()
    }

    /// Looks at the files again and again, and when it is asked to, until `stop`.
    pub(crate) async fn follow(mut self, every: Duration, mut asked: watch::Receiver<()>, stop: CancellationToken) {
        loop {
            let look = tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => Look::Due,
                () = told(&mut asked) => Look::Asked,
            };
            let looked = tokio::task::spawn_blocking(move || {
                self.look(look);
                self
            });
            match looked.await {
                Ok(live) => self = live,
                // It panicked, and who waits for this task is told by its early end.
                Err(_) => return,
            }
        }
    }

    /// Takes over what has changed, can be used, and was there at the last look already: before that it may be written by
    /// half. Files that cannot be used are told of once for each thing that stands there. Who asks gets what stands there now.
    fn look(&mut self, look: Look) {
        let before = self.seen;
        self.seen = fingerprint(&self.files);
        if look == Look::Due && (self.seen != before || self.seen == self.read_at) {
            return;
        }
        self.read_at = self.seen;
        match (self.read)() {
            Ok(new) => {
                self.current.send_replace(Arc::new(new));
                tracing::info!(files = ?self.files, "files were read again and are in force");
            }
            Err(error) => {
                tracing::error!(error = %error, "a changed file cannot be used, what it said before stays in force");
            }
        }
    }
}

/// Waits until `asked` is told something, for ever where nobody can.
async fn told(asked: &mut watch::Receiver<()>) {
    if asked.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn fingerprint(files: &[PathBuf]) -> Fingerprint {
    let mut whole = Sha256::new();
    for file in files {
        match std::fs::read(file) {
            Ok(text) => whole.update(Sha256::digest(text)),
            Err(_) => whole.update([0; 32]),
        }
    }
    whole.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number in a file.
    fn number(folder: &tempfile::TempDir) -> (PathBuf, Result<Live<u8>, Error>) {
        let path = folder.path().join("number");
        let files = vec![path.clone()];
        let file = path.clone();
        let live = Live::new(files, move || {
            let text = std::fs::read_to_string(&file).map_err(|error| Error::file(&file, &error.to_string()))?;
            text.parse().map_err(|_| Error::file(&file, "is not a number"))
        });
        (path, live)
    }

    #[test]
    fn a_file_that_cannot_be_used_keeps_what_was_in_force() {
        let folder = tempfile::tempdir().unwrap();
        assert!(number(&folder).1.is_err());
        std::fs::write(folder.path().join("number"), "1").unwrap();
        let (path, live) = number(&folder);
        let mut live = live.unwrap();
        let current = live.current();
        for (text, in_force) in [("2", 2), ("two", 2), ("", 2), ("3", 3)] {
            std::fs::write(&path, text).unwrap();
            live.look(Look::Due);
            live.look(Look::Due);
            assert_eq!(**current.borrow(), in_force, "{text}");
        }
        std::fs::remove_file(&path).unwrap();
        live.look(Look::Due);
        live.look(Look::Due);
        assert_eq!(**current.borrow(), 3);
    }

    #[test]
    fn a_file_is_taken_over_when_it_says_the_same_twice() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("number"), "1").unwrap();
        let (path, live) = number(&folder);
        let mut live = live.unwrap();
        let current = live.current();
        for (text, in_force) in [
            ("", 1),
            ("2", 1),
            ("20", 1),
            ("20", 20),
            ("1", 20),
            ("20", 20),
            ("20", 20),
            ("1", 20),
            ("1", 1),
        ] {
            std::fs::write(&path, text).unwrap();
            live.look(Look::Due);
            assert_eq!(**current.borrow(), in_force, "{text}");
        }
    }

    #[test]
    fn who_asks_gets_what_stands_there_now() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("number"), "1").unwrap();
        let (path, live) = number(&folder);
        let mut live = live.unwrap();
        let current = live.current();
        for (text, in_force) in [("2", 2), ("two", 2), ("3", 3)] {
            std::fs::write(&path, text).unwrap();
            live.look(Look::Asked);
            assert_eq!(**current.borrow(), in_force, "{text}");
        }
    }
}
