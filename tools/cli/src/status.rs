//! `counterfoil status`.

use anyhow::anyhow;
use counterfoil_chassis::status::code_name;
use counterfoil_proto::event::v1 as pb;
use futures::future::join_all;
use serde_json::json;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::addresses::Service;
use crate::failure::Failure;
use crate::output::{Cell, Format, Look, Output};
use crate::services::Services;

/// Partitions in a line.
const LINE: usize = 8;

/// A service, and whether it serves or why not.
struct Health {
    service: Service,
    address: String,
    serves: Result<(), String>,
}

/// Shows how the suite is.
///
/// # Errors
/// When a service does not serve, after all that could be found out was printed.
pub(crate) async fn show(services: &Services, output: &mut Output) -> Result<(), Failure> {
    let (healths, ingest) = tokio::join!(
        join_all(Service::ALL.map(|service| health(services, service))),
        ingest(services)
    );
    match output.format {
        Format::Json => {
            let states = healths.iter().map(|health| {
                let state = match &health.serves {
                    Ok(()) => json!({"address": health.address, "serving": true}),
                    Err(why) => json!({"address": health.address, "serving": false, "why": why}),
                };
                (health.service.name().to_owned(), state)
            });
            let states: serde_json::Map<_, _> = states.collect();
            let ingest = ingest.as_ref().ok().map(|ingest| {
                json!({
                    "received": ingest.received, "stored": ingest.stored, "duplicates": ingest.duplicates,
                    "refused": ingest.refused, "quarantined": ingest.quarantined, "failed": ingest.failed,
                    "epoch": ingest.epoch, "last_offsets": ingest.last_offsets,
                })
            });
            output.json(&json!({"services": states, "ingest": ingest}))?;
        }
        Format::Table => {
            let rows = healths.iter().map(|health| {
                let state = match &health.serves {
                    Ok(()) => Cell::new("serving", Look::Good),
                    Err(why) => Cell::new(why, Look::Bad),
                };
                [health.service.name().into(), health.address.as_str().into(), state]
            });
            output.table(["SERVICE", "ADDRESS", "HEALTH"], rows.collect())?;
            if let Ok(ingest) = &ingest {
                print_ingest(ingest, output)?;
            }
        }
    }
    let down: Vec<_> = healths.iter().filter(|health| health.serves.is_err()).collect();
    if !down.is_empty() {
        let names: Vec<_> = down.iter().map(|health| health.service.name()).collect();
        return Err(anyhow!("not serving: {}", names.join(", ")).into());
    }
    ingest.map(drop)
}

async fn health(services: &Services, service: Service) -> Health {
    let check = async {
        let mut client = services.health(service).map_err(|error| error.to_string())?;
        let request = services.request(HealthCheckRequest::default());
        let answer = client.check(request).await;
        let answer = answer.map_err(|status| match code_name(status.code()) {
            "UNAVAILABLE" => format!("cannot be reached: {}", status.message()),
            code => format!("{code}: {}", status.message()),
        })?;
        match answer.into_inner().status() {
            ServingStatus::Serving => Ok(()),
            other => Err(other.as_str_name().replace('_', " ").to_lowercase()),
        }
    };
    Health {
        service,
        address: services.address(service).unwrap_or_default().to_owned(),
        serves: check.await,
    }
}

async fn ingest(services: &Services) -> Result<pb::GetIngestStatusResponse, Failure> {
    let request = services.request(pb::GetIngestStatusRequest {});
    let answer = services.events()?.get_ingest_status(request).await;
    services.answer(Service::Gateway, answer)
}

fn print_ingest(ingest: &pb::GetIngestStatusResponse, output: &mut Output) -> std::io::Result<()> {
    let number = |number: i64| Cell::from(number.to_string());
    // What an operator has to look into stands out.
    let alarming = |number: i64| {
        let look = if number > 0 { Look::Bad } else { Look::Plain };
        Cell::new(number.to_string(), look)
    };
    output.line(&[])?;
    output.line(&[Cell::new("Deliveries since the gateway started", Look::Dim)])?;
    output.table(
        ["RECEIVED", "STORED", "DUPLICATES", "REFUSED", "QUARANTINED", "FAILED"],
        vec![[
            number(ingest.received),
            number(ingest.stored),
            number(ingest.duplicates),
            number(ingest.refused),
            alarming(ingest.quarantined),
            alarming(ingest.failed),
        ]],
    )?;
    let events = ingest
        .last_offsets
        .iter()
        .fold(0_i64, |sum, last| sum.saturating_add(*last));
    let log = format!(
        "The log: {events} events in epoch {}; the last offset of each partition:",
        ingest.epoch
    );
    output.line(&[])?;
    output.line(&[Cell::new(log, Look::Dim)])?;
    let rows = ingest.last_offsets.chunks(LINE).enumerate().map(|(line, lasts)| {
        let mut row: [Cell; 9] = std::array::from_fn(|_| "".into());
        let first = line.saturating_mul(LINE);
        let cells = std::iter::once(Cell::new(first.to_string(), Look::Bold));
        let cells = cells.chain(lasts.iter().map(|last| match last {
            0 => Cell::new("0", Look::Dim),
            last => number(*last),
        }));
        for (place, cell) in row.iter_mut().zip(cells) {
            *place = cell;
        }
        row
    });
    output.table(["", "+0", "+1", "+2", "+3", "+4", "+5", "+6", "+7"], rows.collect())
}
