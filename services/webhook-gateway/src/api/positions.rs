//! Where a consumer says it stands, checked against the log.

use std::collections::{BTreeMap, HashMap};

use counterfoil_chassis::{Violations, status};
use counterfoil_proto::common::v1::FieldReason;
use counterfoil_proto::event::v1 as pb;
use counterfoil_proto::event::v1::ErrorReason;
use counterfoil_store::Db;
use tonic::Status;

use super::unavailable;
use crate::log::head::Head;
use crate::log::read;

/// Checks `positions` and returns the offset each partition is to be streamed after. `field` is where they stand in the
/// consumer's message.
pub(super) async fn check(
    db: &Db,
    head: &Head,
    field: &str,
    positions: &[pb::PartitionPosition],
) -> Result<BTreeMap<i32, i64>, Status> {
    let mut violations = Violations::default();
    let mut after = BTreeMap::new();
    for (place, position) in positions.iter().enumerate() {
        if after.insert(position.partition, position.after_offset).is_some() {
            let field = format!("{field}[{place}].partition");
            violations.add_for(FieldReason::Duplicate, field, "must be given once");
        }
    }
    violations.check().map_err(status::invalid)?;
    for position in positions {
        let last = head.last(position.partition).unwrap_or_default();
        if position.epoch != 0 && position.epoch != head.epoch {
            return Err(epoch_changed(position.epoch, head.epoch));
        }
        if position.after_offset > last {
            return Err(rewound(
                position.partition,
                position.after_offset,
                "the log ends before it",
            ));
        }
    }
    check_ids(db, positions).await?;
    Ok(after)
}

async fn check_ids(db: &Db, positions: &[pb::PartitionPosition]) -> Result<(), Status> {
    let named: Vec<_> = positions
        .iter()
        .filter(|position| !position.after_event_id.is_empty())
        .collect();
    if named.is_empty() {
        return Ok(());
    }
    let at: Vec<(i32, i64)> = named
        .iter()
        .map(|position| (position.partition, position.after_offset))
        .collect();
    let ids: HashMap<i32, String> = async {
        let mut conn = db.conn().await?;
        Ok(read::ids_at(&mut conn, &at).await?)
    }
    .await
    .map_err(|error: counterfoil_store::Error| unavailable(&error))?;
    for position in named {
        if ids.get(&position.partition) != Some(&position.after_event_id) {
            return Err(rewound(
                position.partition,
                position.after_offset,
                "the log has another event there",
            ));
        }
    }
    Ok(())
}

/// FAILED_PRECONDITION, `LOG_REWOUND`: the log is not the one the position was taken in.
pub(super) fn rewound(partition: i32, after_offset: i64, why: &str) -> Status {
    tracing::error!(
        partition,
        after_offset,
        why,
        "a consumer's position is not one of this log"
    );
    let subject = format!("partitions/{partition}/offsets/{after_offset}");
    let description = format!("partition {partition}, offset {after_offset}: {why}");
    let metadata = [("partition", i64::from(partition)), ("after_offset", after_offset)];
    let metadata = metadata.map(|(name, value)| (name.to_owned(), value.to_string()));
    status::precondition(
        &ErrorReason::LogRewound,
        "LOG_POSITION",
        &subject,
        &description,
        metadata,
    )
}

/// FAILED_PRECONDITION, `LOG_EPOCH_CHANGED`: the log was restored since.
pub(super) fn epoch_changed(consumer: i64, log: i64) -> Status {
    tracing::error!(consumer, log, "a consumer's position is of another epoch of the log");
    let description = format!("the position is of epoch {consumer}, the log of epoch {log}");
    let metadata = [("epoch".to_owned(), log.to_string())];
    status::precondition(
        &ErrorReason::LogEpochChanged,
        "LOG_EPOCH",
        &format!("epochs/{consumer}"),
        &description,
        metadata,
    )
}
