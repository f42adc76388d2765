//! `ListEvents`: one partition in the order of its offsets, or all that fits a filter, newest first.

use chrono::{DateTime, Utc};
use counterfoil_chassis::{Context, Violations, status};
use counterfoil_proto::common::v1::FieldReason;
use counterfoil_proto::event::v1 as pb;
use counterfoil_store::Error;
use prost_types::Timestamp;
use tonic::Status;

use super::{Events, PAGE_BYTES, unavailable};
use crate::log::TIMES;
use crate::log::head::head;
use crate::log::list::{Part, Place, Wanted, list};
use crate::log::read::{self, Filter, Range};

pub(super) async fn events(
    events: &Events,
    cx: &Context,
    request: pb::ListEventsRequest,
) -> Result<pb::ListEventsResponse, Status> {
    match &request.filter {
        Some(filter) => fitting(events, cx, filter, !request.headers_only).await,
        None => of_partition(events, cx, &request).await,
    }
}

async fn of_partition(
    events: &Events,
    cx: &Context,
    request: &pb::ListEventsRequest,
) -> Result<pb::ListEventsResponse, Status> {
    let paging = cx.paging()?;
    let page = paging.page::<i64>()?;
    let bodies = !request.headers_only;
    let range = Range {
        partition: request.partition,
        after: page.after.unwrap_or(request.after_offset),
        rows: page.limit,
        bytes: page_bytes(bodies),
        bodies,
        filter: &Filter::default(),
    };
    let read = async {
        let mut conn = events.db.conn().await?;
        let rows = read::range(&mut conn, range).await?;
        // Behind the rows: what is new between the two makes one more page, not one too few.
        Ok((rows, head(&mut conn).await?))
    };
    let (rows, head) = read.await.map_err(|error: Error| unavailable(&error))?;
    let last = rows.last().map(|row| row.log_offset);
    let more = last.filter(|last| head.last(request.partition).is_some_and(|head| *last < head));
    Ok(pb::ListEventsResponse {
        events: rows.into_iter().map(Into::into).collect(),
        next_page_token: paging.token(more.as_ref()),
    })
}

async fn fitting(
    events: &Events,
    cx: &Context,
    filter: &pb::EventFilter,
    bodies: bool,
) -> Result<pb::ListEventsResponse, Status> {
    let wanted = wanted(filter)?;
    let paging = cx.paging()?;
    let page = paging.page::<Place>()?;
    let part = Part {
        after: page.after,
        rows: page.limit,
        bytes: page_bytes(bodies),
        bodies,
    };
    let read = async {
        let mut conn = events.db.conn().await?;
        Ok(list(&mut conn, &wanted, part).await?)
    };
    let listed = read.await.map_err(|error: Error| unavailable(&error))?;
    Ok(pb::ListEventsResponse {
        next_page_token: paging.token(listed.next.as_ref()),
        events: listed.rows.into_iter().map(Into::into).collect(),
    })
}

fn page_bytes(bodies: bool) -> i64 {
    if bodies { PAGE_BYTES } else { i64::MAX }
}

fn wanted(filter: &pb::EventFilter) -> Result<Wanted, Status> {
    let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let mut violations = Violations::default();
    let mut time = |name: &str, given: Option<&Timestamp>| {
        let given = given?;
        let time = time(given);
        if time.is_none() {
            violations.add_for(
                FieldReason::Range,
                format!("filter.{name}"),
                "must be a time from 1970 to 9999",
            );
        }
        time
    };
    let from = time("received_from_time", filter.received_from_time.as_ref());
    let before = time("received_before_time", filter.received_before_time.as_ref());
    violations.check().map_err(status::invalid)?;
    Ok(Wanted {
        event_type: given(&filter.event_type),
        object_id: given(&filter.object_id),
        account: filter.account.clone(),
        from,
        before,
    })
}

fn time(given: &Timestamp) -> Option<DateTime<Utc>> {
    let nanos = u32::try_from(given.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    let time = DateTime::from_timestamp(given.seconds, nanos)?;
    TIMES.contains(&given.seconds).then_some(time)
}
