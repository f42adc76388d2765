//! The process's subscriber: log lines on standard error, spans to OTLP.

use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde::{Deserialize, Serialize};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::filter::{Lines, Logged, Wanted};
use crate::json::JsonLines;

/// How long the last spans may take to leave when the process ends.
const FLUSH: Duration = Duration::from_secs(3);

/// What to log and where to send spans.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct Config {
    /// Which log lines are written: a level (`off`, `error`, `warn`, `info`, `debug` or `trace`), and levels for modules that
    /// differ, as `info,counterfoil_store=debug`. Default `info`.
    pub log: String,
    /// The form of a log line. Default `json`.
    pub format: Format,
    /// Where spans go: the URL of an OTLP collector that speaks gRPC. Unset: nowhere.
    pub otlp_endpoint: Option<String>,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `log` is not a filter.
    #[error("telemetry.log is not a filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// `otlp_endpoint` is not a URL, or the exporter cannot be built.
    #[error("telemetry.otlp_endpoint cannot be used: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// Standard error is closed, or the process has too many files open.
    #[error("standard error cannot be written to: {0}")]
    StandardError(#[source] std::io::Error),
    /// The process has a subscriber already.
    #[error("telemetry was set up before in this process")]
    Installed(#[from] tracing_subscriber::util::TryInitError),
}

/// Keeps telemetry going. When dropped, sends the spans that wait, for at most three seconds.
#[must_use = "telemetry ends when the guard is dropped"]
#[derive(Debug)]
pub struct Guard(SdkTracerProvider);

impl Default for Config {
    fn default() -> Self {
        Self {
            log: "info".to_owned(),
            format: Format::Json,
            otlp_endpoint: None,
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown_with_timeout(FLUSH) {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}

/// Sets up logs and traces for this process, which is called `service_name` in them; a panic becomes a log line too, which
/// says where it was. To be called once, by `main`, inside a multi-threaded Tokio runtime that outlives the guard.
///
/// # Errors
/// When the configuration is not usable, or it was called before.
pub fn init(service_name: &'static str, config: &Config) -> Result<Guard, Error> {
    let logged = Logged::new(config.log.parse()?);
    let lines = tracing_subscriber::fmt::layer().with_writer(Arc::new(standard_error()?));
    let lines = match config.format {
        Format::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        Format::Json => lines.fmt_fields(JsonLines).event_format(JsonLines).boxed(),
    };
    let provider = provider(service_name, config)?;
    // A span tells what was called and how it ended. Where in our code it was made, on which thread, and each pause of it
    // cost more than the rest and help nobody who reads a trace.
    let spans = tracing_opentelemetry::layer()
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false)
        .with_tracer(provider.tracer("counterfoil"));
    tracing_subscriber::registry()
        .with(Wanted::new(logged.clone()))
        .with(Lines { logged, lines })
        .with(spans)
        .try_init()?;
    // Where, but not what: a panic's message may repeat the value it choked on.
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        tracing::error!(location, "a thread panicked");
    }));
    Ok(Guard(provider))
}

/// Standard error without the lock of `std::io::stderr`, for which all threads would wait in turn. A line is one write, which
/// the system keeps whole.
fn standard_error() -> Result<File, Error> {
    let descriptor = std::io::stderr().as_fd().try_clone_to_owned();
    Ok(File::from(descriptor.map_err(Error::StandardError)?))
}

/// Without an endpoint the provider has no exporter, but its spans have contexts all the same.
fn provider(service_name: &'static str, config: &Config) -> Result<SdkTracerProvider, Error> {
    let resource = Resource::builder().with_service_name(service_name).build();
    let builder = SdkTracerProvider::builder().with_resource(resource);
    Ok(match &config.otlp_endpoint {
        None => builder.build(),
        Some(endpoint) => {
            let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
            builder.with_batch_exporter(exporter).build()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_bad_filter_or_endpoint_is_named() {
        let config = Config {
            log: "counterfoil=loud".to_owned(),
            ..Config::default()
        };
        let error = init("test", &config).unwrap_err().to_string();
        assert!(error.starts_with("telemetry.log"), "{error}");

        let config = Config {
            otlp_endpoint: Some("no url at all".to_owned()),
            ..Config::default()
        };
        let error = init("test", &config).unwrap_err().to_string();
        assert!(error.starts_with("telemetry.otlp_endpoint"), "{error}");
    }
}
