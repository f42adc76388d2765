//! A list that is written to while it is read shows every row that stays exactly once, and its tokens are good for it only.

use std::collections::BTreeSet;

use prost_reflect::{DynamicMessage, MethodDescriptor, ReflectMessage, Value};
use tonic::Code;

use super::ensure;
use crate::target::{List, Target, path};

/// More pages than any list here has.
const MANY: usize = 200;

pub(super) async fn check(target: &Target) -> Result<(), String> {
    for method in target.unary() {
        if method.output().get_field_by_name("next_page_token").is_none() {
            continue;
        }
        let list = target.lists.get(&path(&method));
        let list = list.ok_or_else(|| format!("nobody has said how {} is written to", path(&method)))?;
        of_list(target, &method, list)
            .await
            .map_err(|error| format!("{}: {error}", path(&method)))?;
    }
    Ok(())
}

async fn of_list(target: &Target, method: &MethodDescriptor, list: &List) -> Result<(), String> {
    (list.writes)(0, String::new()).await?;
    let request = target.parse(&method.input(), list.request)?;
    // In one page, so that no fault between pages hides what was there.
    let mut whole = request.clone();
    whole.set_field_by_name("page_size", Value::I32(i32::MAX));
    let (at_first, _) = read(target, method, &whole, list, false).await?;
    let (seen, deleted) = read(target, method, &request, list, true).await?;
    let twice = seen.iter().enumerate().find(|(place, id)| seen[..*place].contains(id));
    ensure(twice.is_none(), || format!("{twice:?} came twice"))?;
    let stayed: BTreeSet<_> = at_first.into_iter().filter(|id| !deleted.contains(id)).collect();
    let missed: Vec<_> = stayed.iter().filter(|id| !seen.contains(id)).collect();
    ensure(missed.is_empty(), || {
        format!("{missed:?} were there all the time and did not come")
    })?;

    let (page, token) = page(target, method, &request, "").await?;
    ensure(!token.is_empty() && !page.is_empty(), || {
        "there is only one page".to_owned()
    })?;
    let mut other = target.parse(&method.input(), list.other)?;
    other.set_field_by_name("page_token", Value::String(token.clone()));
    let (code, reason) = target.call(method, &other).await?.told()?;
    ensure(
        (code, reason.as_str()) == (Code::InvalidArgument, "INVALID_PAGE_TOKEN"),
        || format!("a token of another filter is answered with {code:?} {reason}"),
    )?;
    let mut request = request;
    request.set_field_by_name("page_token", Value::String(token));
    let (code, reason) = target
        .call_as(method, &request, Some(&target.colleague))
        .await?
        .told()?;
    ensure(
        (code, reason.as_str()) == (Code::InvalidArgument, "INVALID_PAGE_TOKEN"),
        || format!("a token of another caller is answered with {code:?} {reason}"),
    )
}

/// All ids from the first page to the last, and those that were deleted on the way.
async fn read(
    target: &Target,
    method: &MethodDescriptor,
    request: &DynamicMessage,
    list: &List,
    writing: bool,
) -> Result<(Vec<String>, Vec<String>), String> {
    let (mut seen, mut deleted, mut token) = (Vec::new(), Vec::new(), String::new());
    for step in 1..MANY {
        let (items, next) = page(target, method, request, &token).await?;
        seen.extend(items.iter().map(|item| id(item, list.id)));
        if next.is_empty() {
            return Ok((seen, deleted));
        }
        if writing {
            deleted.extend((list.writes)(step, seen.last().cloned().unwrap_or_default()).await?);
        }
        token = next;
    }
    Err(format!("has more than {MANY} pages"))
}

async fn page(
    target: &Target,
    method: &MethodDescriptor,
    request: &DynamicMessage,
    token: &str,
) -> Result<(Vec<DynamicMessage>, String), String> {
    let mut request = request.clone();
    request.set_field_by_name("page_token", Value::String(token.to_owned()));
    let answer = target.answer(method, &request).await?;
    let items = answer.descriptor().fields().find(|field| field.is_list()).unwrap();
    let items = answer.get_field(&items).as_list().unwrap().to_vec();
    let items = items
        .into_iter()
        .map(|item| item.as_message().unwrap().clone())
        .collect();
    let next = answer.get_field_by_name("next_page_token").unwrap();
    Ok((items, next.as_str().unwrap().to_owned()))
}

fn id(item: &DynamicMessage, way: &str) -> String {
    match way.split_once('.') {
        None => match item.get_field_by_name(way).unwrap().as_ref() {
            Value::I64(number) => number.to_string(),
            text => text.as_str().unwrap().to_owned(),
        },
        Some((field, rest)) => id(item.get_field_by_name(field).unwrap().as_message().unwrap(), rest),
    }
}
