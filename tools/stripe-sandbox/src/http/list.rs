//! Lists: newest first, cut by cursor and limit.

use serde_json::{Value, json};

use super::{
    error::{Answer, ApiError},
    form::Params,
};
use crate::field;

/// A page of `newest_first` as the parameters ask.
pub(crate) fn page(url: &str, params: &Params, newest_first: Vec<Value>) -> Answer {
    let limit = limit(params);
    let position = |param: &str| -> Result<Option<usize>, ApiError> {
        let Some(id) = params.text(param) else { return Ok(None) };
        match newest_first.iter().position(|object| field::text(object, "id") == id) {
            Some(index) => Ok(Some(index)),
            None => Err(ApiError::missing("object", id, param)),
        }
    };
    let (from, to, has_more) = match (position("starting_after")?, position("ending_before")?) {
        (Some(_), Some(_)) => {
            return Err(
                ApiError::invalid("You may not specify both starting_after and ending_before.").param("ending_before"),
            );
        }
        (None, Some(end)) => (end.saturating_sub(limit), end, end > limit),
        (after, None) => {
            let from = after.map_or(0, |index| index + 1);
            let to = (from + limit).min(newest_first.len());
            (from, to, to < newest_first.len())
        }
    };
    let data: Vec<Value> = newest_first
        .into_iter()
        .skip(from)
        .take(to.saturating_sub(from))
        .collect();
    Ok(json!({ "object": "list", "url": url, "has_more": has_more, "data": data }))
}

/// `limit`, 10 when absent.
pub(crate) fn limit(params: &Params) -> usize {
    let limit = params.integer("limit").and_then(|limit| usize::try_from(limit).ok());
    limit.unwrap_or(10)
}

/// Whether `created` lies where `created=`, `created[gte]=` and their like ask.
pub(crate) fn created_within(params: &Params, created: i64) -> bool {
    params.integer("created").is_none_or(|at| created == at)
        && params.integer("created[gte]").is_none_or(|at| created >= at)
        && params.integer("created[gt]").is_none_or(|at| created > at)
        && params.integer("created[lte]").is_none_or(|at| created <= at)
        && params.integer("created[lt]").is_none_or(|at| created < at)
}
