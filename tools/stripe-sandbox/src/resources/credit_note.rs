//! Credit notes and their previews.

use super::{Call, LARGEST_AMOUNT, LARGEST_QUANTITY, Operation, copy_texts, list_of, merge_metadata, retrieve};
use crate::{
    billing::{
        credit_note_lines::{Wanted, What},
        credit_notes::{self, NewNote},
    },
    field,
    http::{
        error::{Answer, ApiError},
        form::Params,
        list, matches,
    },
    json::{Value, json},
    world::{World, ids, rendered},
};

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/credit_notes",
        run: |world, call| {
            let invoice = world.get("invoice", call.params.given("invoice"), "invoice")?;
            let lines = call.params.list("lines");
            let note = credit_notes::issue(world, &invoice, &read(&call.params, &lines)?)?;
            Ok(rendered(&note))
        },
    },
    Operation {
        method: "GET",
        path: "/v1/credit_notes",
        run: |world, call| {
            list_of(world, "credit_note", "/v1/credit_notes", &call.params, |one| {
                matches(one, &call.params, &["customer", "invoice"])
            })
        },
    },
    Operation {
        method: "GET",
        path: "/v1/credit_notes/preview",
        run: |world, call| preview(world, &call.params),
    },
    Operation {
        method: "GET",
        path: "/v1/credit_notes/preview/lines",
        run: |world, call| {
            let note = preview(world, &call.params)?;
            let lines = field::elements(&note, "lines.data").to_vec();
            list::page("/v1/credit_notes/preview/lines", &call.params, lines)
        },
    },
    Operation {
        method: "GET",
        path: "/v1/credit_notes/{id}",
        run: |world, call| retrieve(world, "credit_note", call.id()),
    },
    Operation {
        method: "POST",
        path: "/v1/credit_notes/{id}",
        run: update,
    },
    Operation {
        method: "GET",
        path: "/v1/credit_notes/{id}/lines",
        run: |world, call| {
            let note = world.get("credit_note", call.id(), "credit_note")?;
            let lines = field::elements(&note, "lines.data").to_vec();
            list::page(field::text(&note, "lines.url"), &call.params, lines)
        },
    },
    Operation {
        method: "POST",
        path: "/v1/credit_notes/{id}/void",
        run: |world, call| {
            let note = world.get("credit_note", call.id(), "id")?;
            Ok(rendered(&credit_notes::void(world, &note)?))
        },
    },
];

/// What is wanted, by the parameters; `lines` are those in them.
fn read<'a>(params: &'a Params, lines: &'a [Params]) -> Result<NewNote<'a>, ApiError> {
    let amount = params.integer("amount");
    let mut wanted = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        wanted.push(read_line(line, format!("lines[{place}]"))?);
    }
    match amount {
        None if wanted.is_empty() => {
            let message = "One of `amount`, `lines`, or `shipping_cost` must be provided.";
            return Err(ApiError::invalid(message).code("parameter_missing"));
        }
        Some(amount) if amount < 1 => return Err(ApiError::not_positive("amount")),
        Some(amount) if wanted.is_empty() => wanted.push(Wanted {
            what: What::Whole(amount),
            metadata: json!({}),
            param: "amount".to_owned(),
        }),
        _ => {}
    }
    let part = |name: &str| match params.integer(name) {
        Some(amount) if amount < 0 => Err(ApiError::invalid_integer(name, "Invalid non-negative integer")),
        amount => Ok(amount),
    };
    let at = |name: &str| params.at(name).as_array().unwrap_or_default();
    let refunds = at("refunds").iter().enumerate().map(|(place, one)| {
        if field::text(one, "type") == "payment_record_refund" {
            let message = "The sandbox has no payment records: the type of a refund is `refund`.";
            return Err(ApiError::unserved(&format!("refunds[{place}][type]"), message));
        }
        let id = field::some_text(one, "refund")
            .ok_or_else(|| ApiError::parameter_missing(&format!("refunds[{place}][refund]")))?;
        Ok((id, field::text(one, "amount_refunded").parse().ok()))
    });
    Ok(NewNote {
        lines: wanted,
        amount,
        credit: part("credit_amount")?.unwrap_or_default(),
        refund: part("refund_amount")?.unwrap_or_default(),
        out_of_band: part("out_of_band_amount")?,
        refunds: refunds.collect::<Result<_, ApiError>>()?,
        reason: params.text("reason"),
        memo: params.text("memo"),
        metadata: merge_metadata(&json!({}), params, "metadata")?,
        effective_at: params.integer("effective_at"),
    })
}

fn read_line(line: &Params, param: String) -> Result<Wanted<'_>, ApiError> {
    let is_custom = line.text("type") == Some("custom_line_item");
    let misplaced: &[&str] = if is_custom {
        &["amount", "invoice_line_item"]
    } else {
        &["description", "unit_amount"]
    };
    if let Some(name) = misplaced.iter().find(|name| line.has(name)) {
        let kind = line.text("type").unwrap_or_default();
        let message = format!("`{name}` cannot be specified when the type is `{kind}`.");
        return Err(ApiError::invalid(message).param(format!("{param}[{name}]")));
    }
    let missing = |name: &str| ApiError::parameter_missing(&format!("{param}[{name}]"));
    let (amount, quantity) = (line.integer("amount"), line.integer("quantity"));
    let what = if is_custom {
        let quantity = quantity.ok_or_else(|| missing("quantity"))?;
        let unit_amount = line.integer("unit_amount").ok_or_else(|| missing("unit_amount"))?;
        for (name, number, most) in [
            ("quantity", quantity, LARGEST_QUANTITY),
            ("unit_amount", unit_amount, LARGEST_AMOUNT),
        ] {
            if !(1..=most).contains(&number) {
                return Err(ApiError::not_positive(&format!("{param}[{name}]")));
            }
        }
        What::Custom {
            description: line.text("description").ok_or_else(|| missing("description"))?,
            quantity,
            unit_amount,
        }
    } else {
        let of = line
            .text("invoice_line_item")
            .ok_or_else(|| missing("invoice_line_item"))?;
        match (quantity, amount) {
            (Some(quantity), None) => What::Units(of, quantity),
            (None, Some(amount)) => What::Amount(of, amount),
            (None, None) => {
                let message = "`quantity` or `amount` is required when crediting an invoice line item.";
                return Err(ApiError::invalid(message).code("parameter_missing").param(param));
            }
            (Some(_), Some(_)) => {
                let message = "You may only specify one of these parameters: quantity, amount.";
                return Err(ApiError::invalid(message).param(param));
            }
        }
    };
    let metadata = merge_metadata(&json!({}), line, "metadata")?;
    Ok(Wanted { what, metadata, param })
}

/// What would be issued, with ids that nothing else has; it is not stored.
fn preview(world: &mut World, params: &Params) -> Answer {
    let invoice = world.get("invoice", params.given("invoice"), "invoice")?;
    let lines = params.list("lines");
    let mut note = credit_notes::build(world, &invoice, &read(params, &lines)?)?;
    let mut count = 0;
    credit_notes::name(&mut note, |prefix| {
        count += 1;
        let source = format!("{}:preview:{count}", field::text(&invoice, "id"));
        format!("{prefix}{}", ids::letters(&source, 24))
    });
    Ok(note)
}

fn update(world: &mut World, call: &Call) -> Answer {
    let mut changed = world.get("credit_note", call.id(), "id")?;
    copy_texts(&mut changed, &call.params, &["memo"]);
    let metadata = merge_metadata(field::at(&changed, "metadata"), &call.params, "metadata")?;
    field::set(&mut changed, "metadata", metadata);
    let changed = world.update(call.id(), "credit_note.updated", |one: &mut Value| *one = changed);
    Ok(rendered(&changed))
}
