//! A log line as one JSON object.
//!
//! `tracing_subscriber`'s own JSON format keeps a span's fields as text and reads that text again for every line written
//! inside the span, which made one line cost a tenth of a small call. Here the text goes into the line as it is.

use std::fmt::{self, Debug};

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing::{Event, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes `{"timestamp", "level", …the event's fields…, "target", "span": {"name", …its fields…}}`, the span being the
/// innermost that the event happened in.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct JsonLines;

impl<S> FormatEvent<S, JsonLines> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonLines>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        // What comes from the `log` crate has its level and target among its fields.
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        line.write_str(r#"{"timestamp":""#)?;
        SystemTime.format_time(&mut line)?;
        write!(line, r#"","level":"{}""#, metadata.level())?;
        let mut fields = Fields::new(&mut line, false);
        event.record(&mut fields);
        fields.written?;
        line.write_str(r#","target":"#)?;
        put(&mut line, metadata.target())?;
        let parent = event.parent().and_then(|id| context.span(id));
        let span = parent.or_else(|| event.is_contextual().then(|| context.lookup_current())?);
        if let Some(span) = span {
            line.write_str(r#","span":{"name":"#)?;
            put(&mut line, span.name())?;
            if let Some(fields) = span.extensions().get::<FormattedFields<JsonLines>>()
                && !fields.is_empty()
            {
                line.write_char(',')?;
                line.write_str(fields)?;
            }
            line.write_char('}')?;
        }
        line.write_str("}\n")
    }
}

/// A span's fields are kept as `"key":value,…`, to be put into any object.
impl<'writer> FormatFields<'writer> for JsonLines {
    fn format_fields<R: RecordFields>(&self, mut text: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = Fields::new(&mut text, true);
        fields.record(&mut visitor);
        visitor.written
    }

    fn add_fields(&self, current: &'writer mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        let is_first = current.is_empty();
        let mut text = current.as_writer();
        let mut visitor = Fields::new(&mut text, is_first);
        fields.record(&mut visitor);
        visitor.written
    }
}

/// Writes each field it is shown as a key and a value.
struct Fields<'a, 'writer> {
    line: &'a mut Writer<'writer>,
    /// Whether no comma stands between the next field and what was written before.
    is_first: bool,
    written: fmt::Result,
}

impl<'a, 'writer> Fields<'a, 'writer> {
    fn new(line: &'a mut Writer<'writer>, is_first: bool) -> Self {
        Self {
            line,
            is_first,
            written: Ok(()),
        }
    }

    fn field(&mut self, field: &Field, value: &(impl Serialize + ?Sized)) {
        // The `log` crate's own fields are told as level and target.
        if self.written.is_ok() && !field.name().starts_with("log.") {
            self.written = self.pair(field.name(), value);
        }
    }

    fn pair(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> fmt::Result {
        if !std::mem::take(&mut self.is_first) {
            self.line.write_char(',')?;
        }
        // A field may be named like a word of Rust.
        put(self.line, name.strip_prefix("r#").unwrap_or(name))?;
        self.line.write_char(':')?;
        put(self.line, value)
    }
}

impl Visit for Fields<'_, '_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.field(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field, &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.field(field, &value);
    }
}

fn put(line: &mut Writer<'_>, value: &(impl Serialize + ?Sized)) -> fmt::Result {
    let text = serde_json::to_string(value).map_err(|_| fmt::Error)?;
    line.write_str(&text)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// What was written, however it was cut.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that `work` logs, without the time.
    fn lines(work: impl FnOnce()) -> Vec<Value> {
        let written = Written::default();
        let writer = written.clone();
        let layer = tracing_subscriber::fmt::layer()
            .fmt_fields(JsonLines)
            .event_format(JsonLines)
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        let written = written.0.lock().unwrap();
        let lines = std::str::from_utf8(&written).unwrap().lines();
        let parsed = lines.map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            let timestamp = line.as_object_mut().unwrap().remove("timestamp").unwrap();
            assert!(timestamp.as_str().unwrap().ends_with('Z'), "{timestamp}");
            line
        });
        parsed.collect()
    }

    #[test]
    fn a_line_has_its_fields_by_type_and_its_innermost_span() {
        let logged = lines(|| {
            let outer = tracing::info_span!("outer", hidden = 1);
            let _outer = outer.enter();
            let span = tracing::info_span!("inner", "a \"quote\"" = "tab\tand \u{1}", later = tracing::field::Empty);
            span.in_scope(|| tracing::info!(text = "ä\n", whole = -3, half = 0.5, right = true, list = ?[1, 2], r#type = "x", "said"));
            span.record("later", 7_u64);
            tracing::warn!(parent: &span, nan = f64::NAN, "again");
        });
        let span = json!({"name": "inner", "a \"quote\"": "tab\tand \u{1}"});
        let target = "counterfoil_telemetry::json::tests";
        assert_eq!(
            logged[0],
            json!({
                "level": "INFO", "message": "said", "text": "ä\n", "whole": -3, "half": 0.5, "right": true,
                "list": "[1, 2]", "type": "x", "target": target, "span": span,
            })
        );
        let mut span = span;
        span["later"] = json!(7);
        assert_eq!(
            logged[1],
            json!({"level": "WARN", "message": "again", "nan": null, "target": target, "span": span})
        );
    }

    #[test]
    fn outside_a_span_and_in_one_without_fields_nothing_is_missing() {
        let logged = lines(|| {
            tracing::info!("alone");
            let span = tracing::info_span!("bare", late = tracing::field::Empty);
            span.record("late", "now");
            span.in_scope(|| tracing::info!(parent: None, "a root"));
            span.in_scope(|| tracing::info!("inside"));
        });
        assert_eq!(logged[0]["span"], Value::Null);
        assert_eq!(logged[1]["span"], Value::Null);
        assert_eq!(logged[2]["span"], json!({"name": "bare", "late": "now"}));
    }
}
