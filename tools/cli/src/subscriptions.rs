//! `counterfoil subscriptions`.

use clap::Subcommand;
use counterfoil_proto::billing::v1 as pb;
use serde_json::{Value, json};

use crate::addresses::Service;
use crate::failure::Failure;
use crate::output::{Cell, Format, Look, Output, json_time, money, time, word};
use crate::services::Services;

/// Subscriptions that the service answers with at most.
const PAGE: u32 = 100;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists the subscriptions of a user, newest first
    #[command(after_help = "Example: counterfoil subscriptions list --user ada --limit 5")]
    List {
        /// The company's own id of the user
        #[arg(long, value_name = "ID")]
        user: String,
        /// The most to list
        #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Shows a subscription with its items
    #[command(after_help = "Example: counterfoil subscriptions get sub_1QXg1o8vcGmoR32")]
    Get {
        /// Stripe's id, sub_…
        #[arg(value_name = "ID")]
        subscription_id: String,
    },
}

pub(crate) async fn run(command: Command, services: &Services, output: &mut Output) -> Result<(), Failure> {
    match command {
        Command::List { user, limit } => {
            let (found, more) = list(services, user, limit).await?;
            print_list(&found, more, output)
        }
        Command::Get { subscription_id } => {
            let request = services.request(pb::GetSubscriptionRequest { subscription_id });
            let answer = services.subscriptions()?.get_subscription(request).await;
            let found = services.answer(Service::Billing, answer)?.subscription;
            print_one(&found.unwrap_or_default(), output)
        }
    }
}

/// The newest `limit` subscriptions of `user_id`, and whether there are more.
async fn list(services: &Services, user_id: String, limit: u32) -> Result<(Vec<pb::Subscription>, bool), Failure> {
    let mut client = services.subscriptions()?;
    let mut found = Vec::new();
    let mut page_token = String::new();
    let mut left = limit;
    loop {
        let request = services.request(pb::ListSubscriptionsRequest {
            user_id: user_id.clone(),
            page_size: i32::try_from(left.min(PAGE)).unwrap_or_default(),
            page_token,
        });
        let page = services.answer(Service::Billing, client.list_subscriptions(request).await)?;
        left = left.saturating_sub(u32::try_from(page.subscriptions.len()).unwrap_or(u32::MAX));
        found.extend(page.subscriptions);
        page_token = page.next_page_token;
        if page_token.is_empty() || left == 0 {
            return Ok((found, !page_token.is_empty()));
        }
    }
}

fn print_list(found: &[pb::Subscription], more: bool, output: &mut Output) -> Result<(), Failure> {
    match output.format {
        Format::Json => {
            let found: Vec<_> = found.iter().map(as_json).collect();
            output.json(&json!({"subscriptions": found, "more": more}))?;
        }
        Format::Table => {
            let header = ["SUBSCRIPTION", "STATUS", "PLAN", "CREATED", "CANCELS", "ENDED"];
            let rows = found.iter().map(|subscription| {
                [
                    subscription.subscription_id.as_str().into(),
                    status(subscription),
                    subscription
                        .items
                        .iter()
                        .map(plan)
                        .collect::<Vec<_>>()
                        .join(", ")
                        .into(),
                    time(subscription.create_time.as_ref()).into(),
                    time(subscription.cancel_time.as_ref()).into(),
                    time(subscription.end_time.as_ref()).into(),
                ]
            });
            output.table(header, rows.collect())?;
            if more {
                eprintln!("there are more: --limit");
            }
        }
    }
    Ok(())
}

fn print_one(subscription: &pb::Subscription, output: &mut Output) -> Result<(), Failure> {
    if output.format == Format::Json {
        return Ok(output.json(&as_json(subscription))?);
    }
    output.pairs(vec![
        ("subscription", subscription.subscription_id.as_str().into()),
        ("status", status(subscription)),
        ("customer", subscription.stripe_customer_id.as_str().into()),
        ("user", subscription.user_id.as_str().into()),
        ("created", time(subscription.create_time.as_ref()).into()),
        ("cancels", time(subscription.cancel_time.as_ref()).into()),
        ("ended", time(subscription.end_time.as_ref()).into()),
    ])?;
    output.line(&[])?;
    let header = ["ITEM", "PLAN", "PRICE", "QUANTITY", "UNIT PRICE", "PERIOD", ""];
    let rows = subscription.items.iter().map(|item| {
        [
            item.subscription_item_id.as_str().into(),
            item.lookup_key.as_str().into(),
            item.price_id.as_str().into(),
            item.quantity.to_string().into(),
            money(item.unit_price.as_ref()).into(),
            time(item.current_period_start_time.as_ref()).into(),
            time(item.current_period_end_time.as_ref()).into(),
        ]
    });
    output.table(header, rows.collect())?;
    Ok(())
}

fn status(subscription: &pb::Subscription) -> Cell {
    let look = match subscription.status() {
        pb::SubscriptionStatus::Active | pb::SubscriptionStatus::Trialing => Look::Good,
        pb::SubscriptionStatus::PastDue | pb::SubscriptionStatus::Unpaid => Look::Bad,
        _ => Look::Plain,
    };
    Cell::new(status_word(subscription), look)
}

fn status_word(subscription: &pb::Subscription) -> String {
    word(subscription.status().as_str_name(), "SUBSCRIPTION_STATUS_")
}

/// What people call the price: its lookup key, else its id.
fn plan(item: &pb::SubscriptionItem) -> &str {
    match item.lookup_key.as_str() {
        "" => &item.price_id,
        lookup_key => lookup_key,
    }
}

fn as_json(subscription: &pb::Subscription) -> Value {
    let items = subscription.items.iter().map(|item| {
        json!({
            "subscription_item_id": item.subscription_item_id,
            "price_id": item.price_id,
            "lookup_key": item.lookup_key,
            "quantity": item.quantity,
            "unit_price": item.unit_price.as_ref().map(|price| {
                json!({"minor_units": price.minor_units, "currency_code": price.currency_code})
            }),
            "current_period_start_time": json_time(item.current_period_start_time.as_ref()),
            "current_period_end_time": json_time(item.current_period_end_time.as_ref()),
        })
    });
    json!({
        "subscription_id": subscription.subscription_id,
        "stripe_customer_id": subscription.stripe_customer_id,
        "user_id": subscription.user_id,
        "status": status_word(subscription),
        "items": items.collect::<Vec<_>>(),
        "cancel_time": json_time(subscription.cancel_time.as_ref()),
        "end_time": json_time(subscription.end_time.as_ref()),
        "create_time": json_time(subscription.create_time.as_ref()),
    })
}
