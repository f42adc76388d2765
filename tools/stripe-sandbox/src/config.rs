use std::{path::PathBuf, time::Duration};

/// What a sandbox is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The one key the API accepts. Its prefix chooses the mode: `sk_live_` gives `livemode: true` objects.
    pub secret_key: String,
    /// Ids are drawn from it: the same seed and the same calls give the same ids.
    pub seed: u64,
    /// Where the world is kept: appended to before each answer and read at start. `None`: in memory only.
    pub journal: Option<PathBuf>,
    /// Unix seconds the virtual clock stands at; it then moves only when advanced. `None`: it ticks with wall time.
    pub frozen_time: Option<i64>,
    /// The origin that browsers reach this sandbox under, for the URLs of hosted pages. `None`: the listener's address.
    pub public_url: Option<String>,
    /// How many calls an account may make in a second of wall time before it is answered 429. `None`: any number.
    pub rate_limit: Option<u32>,
    /// When a webhook that was not accepted is sent again.
    pub retry_schedule: RetrySchedule,
    /// How long, in wall time, a webhook's receiver may take to answer.
    pub webhook_timeout: Duration,
    /// A fault setting to begin with: a file with the JSON that `POST /_sandbox/faults` takes. A journal that holds a world
    /// already goes on with its own.
    pub scenario: Option<PathBuf>,
    /// A snapshot that a new world begins with.
    pub restore: Option<PathBuf>,
    /// The folder that snapshots with a name are kept in.
    pub snapshots: Option<PathBuf>,
}

/// When a webhook that was not accepted is sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetrySchedule {
    /// After 0.2 to 5 seconds of wall time, until it is accepted: for development, where receivers come and go.
    #[default]
    Quick,
    /// As Stripe does, in virtual time: in live mode for up to three days, in test mode three times over a few hours.
    Stripe,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            secret_key: "sk_test_counterfoilsandbox".to_owned(),
            seed: 1,
            journal: None,
            frozen_time: None,
            public_url: None,
            rate_limit: None,
            retry_schedule: RetrySchedule::Quick,
            webhook_timeout: Duration::from_secs(30),
            scenario: None,
            restore: None,
            snapshots: None,
        }
    }
}

impl Config {
    /// Whether objects say `livemode: true`.
    pub(crate) fn livemode(&self) -> bool {
        self.secret_key.starts_with("sk_live_")
    }

    /// Refuses what cannot work, naming the setting.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let known = ["sk_test_", "sk_live_"].iter().any(|prefix| {
            self.secret_key.strip_prefix(prefix).is_some_and(|rest| {
                rest.len() >= 4 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            })
        });
        anyhow::ensure!(
            known,
            "secret key must begin with sk_test_ or sk_live_, then at least four letters or digits"
        );
        if let Some(url) = &self.public_url {
            let parsed = url::Url::parse(url).map_err(|error| anyhow::anyhow!("public url `{url}`: {error}"))?;
            anyhow::ensure!(
                matches!(parsed.scheme(), "http" | "https"),
                "public url `{url}` is not http or https"
            );
        }
        if let Some(at) = self.frozen_time {
            anyhow::ensure!(
                (0..=4_102_444_800).contains(&at),
                "frozen time {at} is not between 1970 and 2100"
            );
        }
        Ok(())
    }
}
