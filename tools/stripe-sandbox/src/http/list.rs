//! Lists: newest first, cut by cursor and limit.

use std::collections::VecDeque;

use super::{
    error::{Answer, ApiError},
    form::Params,
};
use crate::{
    field,
    json::{Value, json},
};

/// A page of `newest_first` as the parameters ask; no more of it is looked at than that takes.
pub(crate) fn page(url: &str, params: &Params, newest_first: impl IntoIterator<Item = Value>) -> Answer {
    let limit = limit(params);
    let mut objects = newest_first.into_iter();
    let (data, has_more) = match (params.text("starting_after"), params.text("ending_before")) {
        (Some(_), Some(_)) => {
            let message = "You may not specify both starting_after and ending_before.";
            return Err(ApiError::invalid(message).param("ending_before"));
        }
        (None, Some(end)) => last_before(objects, end, limit)?,
        (after, None) => {
            if let Some(after) = after
                && !objects.any(|object| field::text(&object, "id") == after)
            {
                return Err(ApiError::missing("object", after, "starting_after"));
            }
            let data: Vec<Value> = objects.by_ref().take(limit).collect();
            (data, objects.next().is_some())
        }
    };
    Ok(json!({ "object": "list", "url": url, "has_more": has_more, "data": data }))
}

/// The `limit` objects just before the one whose id is `end`, and whether there are more before them.
fn last_before(objects: impl Iterator<Item = Value>, end: &str, limit: usize) -> Result<(Vec<Value>, bool), ApiError> {
    let mut last = VecDeque::new();
    let mut has_more = false;
    for object in objects {
        if field::text(&object, "id") == end {
            return Ok((last.into(), has_more));
        }
        last.push_back(object);
        if last.len() > limit {
            last.pop_front();
            has_more = true;
        }
    }
    Err(ApiError::missing("object", end, "ending_before"))
}

/// `limit`, 10 when absent.
pub(crate) fn limit(params: &Params) -> usize {
    let limit = params.integer("limit").and_then(|limit| usize::try_from(limit).ok());
    limit.unwrap_or(10)
}

/// Whether `created` lies where `created=`, `created[gte]=` and their like ask.
pub(crate) fn created_within(params: &Params, created: i64) -> bool {
    within(params, "created", Some(created))
}

/// As [`created_within`], of the moment `name`. What has no such moment lies nowhere.
pub(crate) fn within(params: &Params, name: &str, moment: Option<i64>) -> bool {
    let Some(moment) = moment else {
        return !params.has(name);
    };
    let bound = |way: &str| params.integer(&format!("{name}{way}"));
    bound("").is_none_or(|at| moment == at)
        && bound("[gte]").is_none_or(|at| moment >= at)
        && bound("[gt]").is_none_or(|at| moment > at)
        && bound("[lte]").is_none_or(|at| moment <= at)
        && bound("[lt]").is_none_or(|at| moment < at)
}
