//! Who runs the server, and where its cluster lies.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use nix::unistd::{User, geteuid};
use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::{server, write_private};

/// The account that the server runs under: our own, or for root an unprivileged one, as `initdb` refuses root.
pub(super) struct Account {
    name: String,
    uid: u32,
    gid: u32,
    switch: bool,
}

impl Account {
    pub(super) fn choose() -> anyhow::Result<Self> {
        let own = geteuid();
        if !own.is_root() {
            let gid = nix::unistd::getegid();
            return Ok(Self {
                name: own.to_string(),
                uid: own.as_raw(),
                gid: gid.as_raw(),
                switch: false,
            });
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = User::from_name(name).with_context(|| format!("cannot look up user `{name}`"))? {
                return Ok(Self {
                    name: user.name,
                    uid: user.uid.as_raw(),
                    gid: user.gid.as_raw(),
                    switch: true,
                });
            }
        }
        bail!("PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody`")
    }

    /// `program` under this account: nothing of our environment, no stdin, a process group that Ctrl-C does not reach.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LC_ALL", "C");
        command.current_dir("/").stdin(Stdio::null()).process_group(0);
        if self.switch {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Gives `path` to this account.
    pub(super) fn own(&self, path: &Path) -> anyhow::Result<()> {
        if self.switch {
            std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
                .with_context(|| format!("cannot give `{}` to user `{}`", path.display(), self.name))?;
        }
        Ok(())
    }

    /// Whether this account can enter `folder`; asked by trying, as that knows access lists and mount options.
    async fn reaches(&self, folder: &Path) -> anyhow::Result<bool> {
        let mut command = self.command(Path::new("/bin/sh"));
        command
            .args(["-c", "cd -- \"$1\"", "sh"])
            .arg(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(command.status().await.context("cannot run `/bin/sh`")?.success())
    }
}

/// Where things lie: `home` holds lock, password and log, `base` the cluster. Mostly they are one.
pub(super) struct Place {
    home: PathBuf,
    base: PathBuf,
}

impl Place {
    /// The cluster; there only once it is whole.
    pub(super) fn data(&self) -> PathBuf {
        self.base.join("data")
    }

    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    pub(super) fn log(&self) -> PathBuf {
        self.home.join("postgres.log")
    }

    /// The home itself where `account` can reach it, else a folder in the system's temporary one.
    pub(super) async fn choose(home: &Path, account: &Account) -> anyhow::Result<Self> {
        let pointer = home.join("data.path");
        if let Ok(text) = fs::read_to_string(&pointer) {
            let base = PathBuf::from(text.trim());
            create_base(&base)?;
            return Ok(Self {
                home: home.to_owned(),
                base,
            });
        }
        if account.reaches(home).await? {
            return Ok(Self {
                home: home.to_owned(),
                base: home.to_owned(),
            });
        }
        for folder in [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()] {
            let Ok(folder) = folder.canonicalize() else { continue };
            if !(account.reaches(&folder).await? && keeps_others_out(&folder)) {
                continue;
            }
            let base = folder.join(temporary_name(home));
            create_base(&base)?;
            let place = Self {
                home: home.to_owned(),
                base,
            };
            // Without the pointer, what lies there belongs to a home that was removed since.
            server::end(&place.data()).await?;
            empty(&place.base)?;
            write_private(&pointer, &place.base.to_string_lossy())
                .with_context(|| format!("cannot write `{}`", pointer.display()))?;
            eprintln!(
                "user `{}` cannot reach `{}`; the database lies in `{}`",
                account.name,
                home.display(),
                place.base.display()
            );
            return Ok(place);
        }
        bail!(
            "user `{}` can reach neither `{}` nor a temporary folder",
            account.name,
            home.display()
        )
    }
}

/// The same name for the same home, so that a later run finds its data; told apart by user.
fn temporary_name(home: &Path) -> String {
    let digest = hex::encode(Sha256::digest(home.as_os_str().as_encoded_bytes()));
    format!("counterfoil-{}-{}", geteuid(), digest.get(..16).unwrap_or_default())
}

/// Whether nobody but root and an entry's owner can rename or remove entries of `folder`.
fn keeps_others_out(folder: &Path) -> bool {
    fs::metadata(folder).is_ok_and(|meta| meta.mode() & 0o1000 != 0 || meta.mode() & 0o022 == 0)
}

/// Makes the folder `base`, which others may pass through and only we may write; one that is there already is
/// trusted only if it is just that.
fn create_base(base: &Path) -> anyhow::Result<()> {
    match DirBuilder::new().mode(0o700).create(base) {
        Ok(()) => {
            fs::set_permissions(base, fs::Permissions::from_mode(0o711))
                .with_context(|| format!("cannot open `{}` to passers", base.display()))?;
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| format!("cannot create `{}`", base.display())),
    }
    let meta = fs::symlink_metadata(base).with_context(|| format!("cannot look at `{}`", base.display()))?;
    if !meta.is_dir() || meta.uid() != geteuid().as_raw() || meta.mode() & 0o022 != 0 {
        bail!("`{}` is not a folder that only we can write; remove it", base.display());
    }
    Ok(())
}

/// Removes everything in the folder `base`, which is ours.
fn empty(base: &Path) -> anyhow::Result<()> {
    let entries = fs::read_dir(base).with_context(|| format!("cannot list `{}`", base.display()))?;
    for entry in entries {
        let path = entry
            .with_context(|| format!("cannot list `{}`", base.display()))?
            .path();
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.with_context(|| format!("cannot remove `{}`", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_has_one_temporary_folder_and_no_other_home_has_it() {
        assert_eq!(temporary_name(Path::new("/a/b")), temporary_name(Path::new("/a/b")));
        assert_ne!(temporary_name(Path::new("/a/b")), temporary_name(Path::new("/a/c")));
    }

    #[test]
    fn a_planted_folder_is_not_trusted() {
        let parent = tempfile::tempdir().unwrap();
        let open = parent.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(create_base(&open).is_err(), "others can write there");

        let link = parent.path().join("link");
        std::os::unix::fs::symlink(parent.path(), &link).unwrap();
        assert!(create_base(&link).is_err(), "a link leads anywhere");

        if geteuid().is_root() {
            let foreign = parent.path().join("foreign");
            fs::create_dir(&foreign).unwrap();
            std::os::unix::fs::chown(&foreign, Some(65534), None).unwrap();
            assert!(create_base(&foreign).is_err(), "it is someone else's");
        }
        create_base(&parent.path().join("new")).unwrap();
        create_base(&parent.path().join("new")).unwrap();
    }
}
