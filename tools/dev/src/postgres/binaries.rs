//! Finding `initdb` and `postgres`, and installing them where we may.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use nix::unistd::geteuid;
use tokio::process::Command;

/// The oldest major version that the migrations are written for.
const OLDEST: u32 = 14;

/// One installation: the folder that holds `initdb` and `postgres`, and its major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    folder: PathBuf,
    major: u32,
}

impl Binaries {
    pub(super) fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }

    /// All installations found, the preferred one first; installs PostgreSQL with apt when there is none and we may.
    pub(super) async fn find_or_install() -> anyhow::Result<Vec<Self>> {
        let found = find().await;
        if !found.is_empty() {
            return Ok(found);
        }
        if !(geteuid().is_root() && Path::new("/usr/bin/apt-get").exists()) {
            bail!(
                "PostgreSQL {OLDEST} or newer is missing: install it (Debian, Ubuntu: `apt-get install postgresql`; \
                 macOS: `brew install postgresql`; Fedora: `dnf install postgresql-server`), or set DATABASE_URL"
            );
        }
        install_with_apt().await?;
        let found = find().await;
        if found.is_empty() {
            bail!("apt installed PostgreSQL, but no `initdb` of version {OLDEST} or newer is to be found");
        }
        Ok(found)
    }

    /// Of `found`, the installation for the cluster in `data`: its own major version where there is one already.
    pub(super) fn for_data(found: Vec<Self>, data: &Path) -> anyhow::Result<Self> {
        let wanted = match fs::read_to_string(data.join("PG_VERSION")) {
            Ok(text) => Some(
                text.trim()
                    .parse::<u32>()
                    .with_context(|| format!("`{}` is no cluster", data.display()))?,
            ),
            Err(_) => None,
        };
        match found
            .into_iter()
            .find(|binaries| wanted.is_none_or(|major| binaries.major == major))
        {
            Some(binaries) => Ok(binaries),
            None => bail!(
                "`{}` was made by PostgreSQL {}, which is not installed any more; install it, or remove the folder",
                data.display(),
                wanted.unwrap_or_default()
            ),
        }
    }
}

/// Every installation of a usable version: those in PATH first, then the usual places, newest first.
async fn find() -> Vec<Binaries> {
    let mut folders: Vec<PathBuf> = std::env::var_os("PATH")
        .iter()
        .flat_map(std::env::split_paths)
        .filter(|path| path.is_absolute())
        .collect();
    folders.extend(usual_places());
    let mut found: Vec<Binaries> = Vec::new();
    for folder in folders {
        // A link in PATH leads to the folder where `initdb` finds its own share files and `postgres` beside it.
        let Ok(initdb) = folder.join("initdb").canonicalize() else {
            continue;
        };
        let Some(folder) = initdb.parent().map(Path::to_path_buf) else {
            continue;
        };
        if found.iter().any(|binaries| binaries.folder == folder) {
            continue;
        }
        if let Some(major) = major_version(&folder.join("postgres")).await
            && major >= OLDEST
        {
            found.push(Binaries { folder, major });
        }
    }
    found
}

/// Where distributions and Homebrew keep server binaries outside PATH.
fn usual_places() -> Vec<PathBuf> {
    let mut places = Vec::new();
    for (parent, prefix) in [
        ("/usr/lib/postgresql", ""),
        ("/usr/libexec", "postgresql"),
        ("/usr", "pgsql-"),
        ("/opt/homebrew/opt", "postgresql"),
        ("/usr/local/opt", "postgresql"),
        ("/home/linuxbrew/.linuxbrew/opt", "postgresql"),
        ("/Applications/Postgres.app/Contents/Versions", ""),
    ] {
        places.extend(versions_in(Path::new(parent), prefix));
    }
    places.push(PathBuf::from("/usr/local/pgsql/bin"));
    places
}

/// The `bin` folders of the versions below `parent`, newest first.
fn versions_in(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let rest = name.strip_prefix(prefix)?;
            let number = rest.trim_start_matches(|c: char| !c.is_ascii_digit());
            let number: String = number.chars().take_while(char::is_ascii_digit).collect();
            if number.is_empty() && prefix.is_empty() {
                return None;
            }
            // A folder without a number (`postgresql`) is the newest there is.
            Some((number.parse().unwrap_or(u32::MAX), entry.path()))
        })
        .collect();
    versions.sort_by(|a, b| b.cmp(a));
    // Alpine and Red Hat differ in whether there is a `bin` below.
    versions
        .into_iter()
        .flat_map(|(_, folder)| [folder.join("bin"), folder])
        .collect()
}

/// The major version that `postgres --version` tells, e.g. 15 for `postgres (PostgreSQL) 15.18 (Debian 15.18-0)`.
async fn major_version(postgres: &Path) -> Option<u32> {
    let output = Command::new(postgres)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .await
        .ok()?;
    parse_version(&String::from_utf8(output.stdout).ok()?)
}

fn parse_version(text: &str) -> Option<u32> {
    let version = text.split_once("(PostgreSQL)")?.1.trim_start();
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Installs the distribution's PostgreSQL without letting Debian create and start its default cluster.
///
/// The setting lies in a file of ours only as long as the installation runs.
/// Source: pg_createcluster(1), "create_main_cluster" and the folder createcluster.d.
async fn install_with_apt() -> anyhow::Result<()> {
    eprintln!("PostgreSQL is missing; installing it with apt-get");
    apt(["update"]).await?;
    let setting = Path::new("/etc/postgresql-common/createcluster.d/counterfoil.conf");
    let folder = setting.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    fs::write(setting, "create_main_cluster = false\n")
        .with_context(|| format!("cannot write `{}`", setting.display()))?;
    let installed = apt(["install", "-y", "--no-install-recommends", "postgresql"]).await;
    fs::remove_file(setting).with_context(|| format!("cannot remove `{}`", setting.display()))?;
    installed
}

async fn apt<const N: usize>(arguments: [&str; N]) -> anyhow::Result<()> {
    let output = Command::new("/usr/bin/apt-get")
        .args(arguments.map(OsStr::new))
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .await
        .context("cannot run `apt-get`")?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let last = words
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or("no message")
            .trim()
            .to_owned();
        bail!(
            "`apt-get {}` failed: {last}; install PostgreSQL yourself, or set DATABASE_URL",
            arguments.join(" ")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_postgres_says_of_itself() {
        assert_eq!(
            parse_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(parse_version("postgres (PostgreSQL) 19devel\n"), Some(19));
        assert_eq!(parse_version("postgres 15\n"), None);
    }

    #[test]
    fn versions_are_listed_newest_first() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["9.6", "15", "17", "notes"] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        let bins: Vec<_> = versions_in(parent.path(), "")
            .into_iter()
            .filter(|path| path.ends_with("bin"))
            .collect();
        assert_eq!(
            bins,
            ["17", "15", "9.6"].map(|name| parent.path().join(name).join("bin"))
        );
    }

    #[test]
    fn a_cluster_is_run_by_the_version_that_made_it() {
        let data = tempfile::tempdir().unwrap();
        let found: Vec<_> = [17, 15]
            .map(|major| Binaries {
                folder: format!("/pg/{major}").into(),
                major,
            })
            .into();
        assert_eq!(Binaries::for_data(found.clone(), data.path()).unwrap().major, 17);
        fs::write(data.path().join("PG_VERSION"), "15\n").unwrap();
        assert_eq!(Binaries::for_data(found.clone(), data.path()).unwrap().major, 15);
        fs::write(data.path().join("PG_VERSION"), "16\n").unwrap();
        let refusal = Binaries::for_data(found, data.path()).unwrap_err().to_string();
        assert!(refusal.contains("made by PostgreSQL 16"), "{refusal}");
    }
}
