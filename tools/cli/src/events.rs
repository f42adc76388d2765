//! `counterfoil events`.

mod list;
mod tail;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use counterfoil_proto::event::v1 as pb;
use serde_json::{Value, json};

use crate::addresses::Service;
use crate::failure::Failure;
use crate::output::{Cell, Format, Look, Output, json_time, time, word};
use crate::services::Services;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists stored events in the order they were stored: the newest ones, or those behind an offset
    #[command(after_help = "Example: counterfoil events list --type 'invoice.*' --limit 20")]
    List(list::Arguments),
    /// Shows one event: what the log knows of it, and what Stripe signed if that is asked for
    #[command(after_help = "Example: counterfoil events show evt_1QXg1o8vcGmoR32 --body")]
    Show {
        /// Stripe's id, evt_…
        #[arg(value_name = "EVENT_ID")]
        event_id: String,
        /// The connected account the event belongs to, acct_… [default: the platform]
        #[arg(long, default_value = "", hide_default_value = true, value_name = "ID")]
        account: String,
        /// Shows the body as well, which may hold personal data
        #[arg(long)]
        body: bool,
    },
    /// Prints events as the log stores them, until Ctrl-C
    #[command(after_help = "Example: counterfoil events tail --type customer.subscription.deleted --output json")]
    Tail(tail::Arguments),
}

pub(crate) async fn run(command: Command, services: &Services, output: &mut Output) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list::run(arguments, services, output).await,
        Command::Show {
            event_id,
            account,
            body,
        } => {
            let request = services.request(pb::GetEventRequest { event_id, account });
            let answer = services.events()?.get_event(request).await;
            let event = services.answer(Service::Gateway, answer)?.event.unwrap_or_default();
            Ok(show(&event, body, output)?)
        }
        Command::Tail(arguments) => tail::run(arguments, services, output).await,
    }
}

fn show(event: &pb::Event, with_body: bool, output: &mut Output) -> std::io::Result<()> {
    if output.format == Format::Json {
        let mut shown = as_json(event);
        if with_body && let Some(shown) = shown.as_object_mut() {
            // As one text, byte for byte: what the signature was made over.
            match std::str::from_utf8(&event.body) {
                Ok(body) => shown.insert("body".into(), body.into()),
                Err(_) => shown.insert("body_base64".into(), STANDARD.encode(&event.body).into()),
            };
        }
        return output.json(&shown);
    }
    let envelope = event.envelope.clone().unwrap_or_default();
    output.pairs(vec![
        ("event", envelope.event_id.into()),
        ("type", envelope.r#type.into()),
        ("object", envelope.object_id.into()),
        ("account", envelope.account.into()),
        ("key", envelope.key.into()),
        ("api version", envelope.api_version.into()),
        ("created", time(envelope.created_time.as_ref()).into()),
        ("received", time(envelope.received_time.as_ref()).into()),
        ("source", source(envelope.source).into()),
        ("endpoint", envelope.endpoint.into()),
        ("partition", event.partition.to_string().into()),
        ("offset", event.offset.to_string().into()),
        ("sha256", hex::encode(&event.sha256).into()),
        ("bytes", event.body.len().to_string().into()),
        ("trace", event.traceparent.as_str().into()),
    ])?;
    if with_body {
        output.line(&[])?;
        output.text(&readable(&event.body))?;
    }
    Ok(())
}

/// A body for people: indented where it is JSON.
fn readable(body: &[u8]) -> String {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => format!("{value:#}"),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    }
}

const HEADER: [&str; 6] = ["RECEIVED", "PARTITION", "OFFSET", "EVENT", "TYPE", "OBJECT"];

/// An event in a line, under [`HEADER`].
fn row(event: &pb::Event) -> [Cell; 6] {
    let envelope = event.envelope.clone().unwrap_or_default();
    [
        Cell::new(time(envelope.received_time.as_ref()), Look::Dim),
        event.partition.to_string().into(),
        event.offset.to_string().into(),
        envelope.event_id.into(),
        envelope.r#type.into(),
        envelope.object_id.into(),
    ]
}

/// An event without its body.
fn as_json(event: &pb::Event) -> Value {
    let envelope = event.envelope.clone().unwrap_or_default();
    json!({
        "event_id": envelope.event_id,
        "type": envelope.r#type,
        "api_version": envelope.api_version,
        "account": envelope.account,
        "object_id": envelope.object_id,
        "key": envelope.key,
        "created_time": json_time(envelope.created_time.as_ref()),
        "received_time": json_time(envelope.received_time.as_ref()),
        "source": source(envelope.source),
        "endpoint": envelope.endpoint,
        "partition": event.partition,
        "offset": event.offset,
        "sha256": hex::encode(&event.sha256),
        "traceparent": event.traceparent,
    })
}

fn source(source: i32) -> String {
    let source = pb::Source::try_from(source).unwrap_or_default();
    word(source.as_str_name(), "SOURCE_")
}

/// Whether an event's type is one of `types`; `invoice.*` stands for any ending, as it does for the stream. No types
/// stand for all.
fn of_type(event: &pb::Event, types: &[String]) -> bool {
    let r#type = event.envelope.as_ref().map_or("", |envelope| &envelope.r#type);
    let is = |wanted: &String| match wanted.strip_suffix('*') {
        Some(beginning) if beginning.ends_with('.') => r#type.starts_with(beginning),
        _ => r#type == wanted,
    };
    types.is_empty() || types.iter().any(is)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_itself_or_a_beginning_with_a_star() {
        let event = pb::Event {
            envelope: Some(pb::Envelope {
                r#type: "invoice.paid".into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        for (types, expected) in [
            (vec![], true),
            (vec!["invoice.paid"], true),
            (vec!["customer.created", "invoice.*"], true),
            (vec!["invoice"], false),
            (vec!["inv*"], false),
            (vec!["invoice.paid.*"], false),
        ] {
            let types: Vec<String> = types.into_iter().map(Into::into).collect();
            assert_eq!(of_type(&event, &types), expected, "{types:?}");
        }
    }

    #[test]
    fn a_body_is_indented_where_it_is_json_and_keeps_its_order() {
        assert_eq!(readable(br#"{"b":1,"a":2}"#), "{\n  \"b\": 1,\n  \"a\": 2\n}");
        assert_eq!(readable(b"not json \xff"), "not json \u{fffd}");
    }
}
