//! W3C trace context in and out of spans. Source: <https://www.w3.org/TR/trace-context/>.

use std::collections::HashMap;

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The name of the header and of the metadata key, both in lower case.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// The context of the current span as a `traceparent`, to be stored or sent along. `None` where nothing traces.
#[must_use]
pub fn traceparent() -> Option<String> {
    traceparent_of(&Span::current())
}

/// The context of `span` as a `traceparent`. `None` where nothing traces or the span is disabled.
#[must_use]
pub fn traceparent_of(span: &Span) -> Option<String> {
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&span.context(), &mut carrier);
    carrier.remove(TRACEPARENT)
}

/// Makes `span` a child of the span that `traceparent` names. Does nothing when that is not a valid context, when nothing
/// traces, or when the span has been entered before.
pub fn set_parent(span: &Span, traceparent: &str) {
    if let Some(parent) = context(traceparent) {
        // The error only says that nothing traces or that the span has begun.
        let _ = span.set_parent(parent);
    }
}

/// Links `span` to the span that `traceparent` names, for work that has several causes.
pub fn link(span: &Span, traceparent: &str) {
    if let Some(cause) = context(traceparent) {
        span.add_link(cause.span().span_context().clone());
    }
}

/// The id of the span's trace as 32 hexadecimal digits.
pub(crate) fn trace_id_of(span: &Span) -> Option<String> {
    let context = span.context();
    context.span().span_context().is_valid().then(|| trace_id(&context))
}

/// The id of the trace as 32 hexadecimal digits.
pub(crate) fn trace_id(context: &Context) -> String {
    context.span().span_context().trace_id().to_string()
}

/// Headers of which only `traceparent` is there.
struct Only<'a>(&'a str);

impl Extractor for Only<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

/// What a valid `traceparent` names.
pub(crate) fn context(traceparent: &str) -> Option<Context> {
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &Only(traceparent));
    context.span().span_context().is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn without_a_subscriber_there_is_no_context() {
        assert_eq!(traceparent(), None);
    }

    #[test]
    fn a_span_continues_the_trace_it_is_given_without_any_exporter() {
        let provider = SdkTracerProvider::builder().build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));

        let span = tracing::info_span!("work");
        set_parent(&span, PARENT);
        let own = span.in_scope(traceparent).unwrap();
        assert!(own.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{own}");
        assert!(own.ends_with("-01"), "{own}");
        assert!(!own.contains("b7ad6b7169203331"), "{own}");
        assert_eq!(trace_id_of(&span).unwrap(), "0af7651916cd43dd8448eb211c80319c");
    }

    #[test]
    fn a_malformed_parent_is_ignored() {
        for wrong in [
            "",
            "00",
            "00-zz-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        ] {
            assert!(context(wrong).is_none(), "{wrong}");
        }
    }
}
