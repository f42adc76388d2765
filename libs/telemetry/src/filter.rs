//! Which spans and events are made at all, and which of them become log lines.
//!
//! `tracing_subscriber`'s filter of a layer is asked again whenever a span is entered or left, which is several times a call, and
//! cost a fifth of what a call through the chassis costs. Here what nobody wants is refused where it is made, once for each
//! place in the code, and what is wanted is looked at when it is new.

use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Crates that the exporter itself is made of: spans of theirs would be exported, which makes more of them.
const TRANSPORT: [&str; 6] = ["h2", "hyper", "hyper_util", "opentelemetry", "tonic", "tower"];

/// What is written to the log.
#[derive(Debug, Clone)]
pub(crate) struct Logged {
    /// What the configuration asks for.
    asked: Targets,
    /// What is written at most, whatever was asked for.
    allowed: Targets,
}

impl Logged {
    pub(crate) fn new(asked: Targets) -> Self {
        let allowed = Targets::new()
            .with_default(LevelFilter::TRACE)
            // Below this level the driver logs the values that statements are sent with.
            .with_target("tokio_postgres", LevelFilter::INFO)
            .with_targets(TRANSPORT.map(|target| (target, LevelFilter::INFO)));
        Self { asked, allowed }
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let (target, level) = (metadata.target(), metadata.level());
        self.asked.would_enable(target, level) && self.allowed.would_enable(target, level)
    }

    fn most(&self) -> Option<LevelFilter> {
        Layer::<tracing_subscriber::Registry>::max_level_hint(&self.asked)
    }
}

/// Lets through what is logged and, for traces, whatever is of level `info` and above.
#[derive(Debug)]
pub(crate) struct Wanted {
    logged: Logged,
    traced: Targets,
}

impl Wanted {
    pub(crate) fn new(logged: Logged) -> Self {
        let traced = Targets::new()
            .with_default(LevelFilter::INFO)
            .with_targets(TRANSPORT.map(|target| (target, LevelFilter::OFF)));
        Self { logged, traced }
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        self.logged.wants(metadata) || self.traced.would_enable(metadata.target(), metadata.level())
    }
}

impl<S: Subscriber> Layer<S> for Wanted {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.logged.most().map(|most| most.max(LevelFilter::INFO))
    }
}

/// A layer that writes log lines and is told only what is logged. It hears nothing of spans being entered and left.
#[derive(Debug)]
pub(crate) struct Lines<L> {
    pub(crate) logged: Logged,
    pub(crate) lines: L,
}

impl<S, L> Layer<S> for Lines<L>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    L: Layer<S>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if self.logged.wants(attributes.metadata()) {
            self.lines.on_new_span(attributes, id, context);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if context.metadata(id).is_some_and(|metadata| self.logged.wants(metadata)) {
            self.lines.on_record(id, values, context);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        // What comes from the `log` crate has its level and target among its fields.
        let normalized = event.normalized_metadata();
        if self
            .logged
            .wants(normalized.as_ref().unwrap_or_else(|| event.metadata()))
        {
            self.lines.on_event(event, context);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// Keeps the names of what it is told.
    #[derive(Debug, Clone, Default)]
    struct Heard(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Heard {
        fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
            let name = attributes.metadata().name().to_owned();
            self.0.lock().unwrap().push(name);
        }

        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let metadata = event.metadata();
            let heard = format!("{} {}", metadata.target(), metadata.level());
            self.0.lock().unwrap().push(heard);
        }
    }

    /// What is logged and what traces are told of when the configuration asks for `asked`.
    fn heard(asked: &str) -> (Vec<String>, Vec<String>) {
        let logged = Logged::new(asked.parse().unwrap());
        let (lines, traces) = (Heard::default(), Heard::default());
        let subscriber = tracing_subscriber::registry()
            .with(Wanted::new(logged.clone()))
            .with(Lines {
                logged,
                lines: lines.clone(),
            })
            .with(traces.clone());
        tracing::subscriber::with_default(subscriber, || {
            let _call = tracing::info_span!("call").entered();
            let _step = tracing::debug_span!("step").entered();
            tracing::warn!(target: "own", "");
            tracing::info!(target: "own", "");
            tracing::debug!(target: "own", "");
            tracing::debug!(target: "tokio_postgres::query", "");
            tracing::warn!(target: "h2::client", "");
            tracing::debug!(target: "h2::client", "");
            let _transport = tracing::debug_span!(target: "h2", "transport");
        });
        let told = |heard: Heard| heard.0.lock().unwrap().clone();
        (told(lines), told(traces))
    }

    #[test]
    fn lines_are_what_was_asked_for_and_traces_go_on_whatever_that_is() {
        let (lines, traces) = heard("warn");
        assert_eq!(lines, ["own WARN", "h2::client WARN"]);
        assert_eq!(traces, ["call", "own WARN", "own INFO", "h2::client WARN"]);

        let (lines, traces) = heard("info");
        assert_eq!(lines, ["call", "own WARN", "own INFO", "h2::client WARN"]);
        assert_eq!(traces, lines);

        let (lines, _) = heard("off,own=info");
        assert_eq!(lines, ["own WARN", "own INFO"]);
    }

    #[test]
    fn no_level_tells_a_statements_values_or_the_transports_steps() {
        let (lines, traces) = heard("trace,tokio_postgres::query=trace,h2=trace");
        let told = ["call", "step", "own WARN", "own INFO", "own DEBUG", "h2::client WARN"];
        assert_eq!(lines, told);
        assert_eq!(traces, told);
    }
}
