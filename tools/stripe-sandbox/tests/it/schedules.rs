//! Subscription schedules: phases that begin at their times, to the cent.

mod beside;
mod changes;
mod life;
mod phases;
mod previews;
mod trials;

use serde_json::Value;

use crate::client::{Answer, World, config, has_in_order, start_with, text};

const SCHEDULES: &str = "/v1/subscription_schedules";
const HOUR: i64 = 3600;
const DAY: i64 = 86_400;
/// 2026-06-01T00:00:00Z: a month of 2 592 000 seconds begins.
const JUNE: i64 = 1_780_272_000;
const JULY: i64 = JUNE + 30 * DAY;
const AUGUST: i64 = JULY + 31 * DAY;
const SEPTEMBER: i64 = AUGUST + 31 * DAY;
/// 2026-06-11T08:00:00Z, when all but 0.6555… of June is over.
const INTO_JUNE: i64 = 10 * DAY + 8 * HOUR;

struct Seller {
    world: World,
    product: String,
    customer: String,
}

/// The parameters of a form that is written as it is sent, but for the encoding.
fn fields(form: &str) -> Vec<(&str, &str)> {
    form.split('&').filter_map(|field| field.split_once('=')).collect()
}

impl Seller {
    async fn new() -> Self {
        let world = start_with(stripe_sandbox::Config {
            frozen_time: Some(JUNE),
            ..config()
        })
        .await;
        let product = text(&world.post("/v1/products", &[("name", "Pro")]).await["id"]);
        let customer = text(&world.post("/v1/customers", &[]).await["id"]);
        world.give_card(&customer, "visa").await;
        Self {
            world,
            product,
            customer,
        }
    }

    async fn post(&self, path: &str, form: &str) -> Value {
        self.world.post(path, &fields(form)).await
    }

    async fn refused(&self, path: &str, form: &str) -> Value {
        let Answer { status, text, .. } = self.world.call("POST", path, &fields(form)).await;
        assert_eq!(status, 400, "{path} {form}: {text}");
        serde_json::from_str::<Value>(&text).unwrap()["error"].clone()
    }

    async fn price(&self, amount: i64, interval: &str) -> String {
        let product = &self.product;
        let form = format!("product={product}&currency=usd&unit_amount={amount}&recurring[interval]={interval}");
        text(&self.post("/v1/prices", &form).await["id"])
    }

    /// A price of so many cents for each call, of which a meter hears.
    async fn metered_price(&self, amount: i64) -> String {
        let meter = "display_name=Calls&event_name=calls&default_aggregation[formula]=sum";
        let meter = text(&self.post("/v1/billing/meters", meter).await["id"]);
        let form = format!(
            "product={}&currency=usd&unit_amount={amount}&recurring[interval]=month&recurring[usage_type]=metered\
             &recurring[meter]={meter}",
            self.product
        );
        text(&self.post("/v1/prices", &form).await["id"])
    }

    /// Reports so many calls of the customer now.
    async fn report(&self, calls: i64) {
        let customer = &self.customer;
        let event = format!("event_name=calls&payload[stripe_customer_id]={customer}&payload[value]={calls}");
        self.post("/v1/billing/meter_events", &event).await;
    }

    async fn subscribe(&self, price: &str, more: &str) -> Value {
        let form = format!("customer={}&items[0][price]={price}{more}", self.customer);
        self.post("/v1/subscriptions", &form).await
    }

    /// A schedule that begins a subscription.
    async fn schedule(&self, start: &str, more: &str) -> Value {
        let form = format!("customer={}&start_date={start}{more}", self.customer);
        self.post(SCHEDULES, &form).await
    }

    async fn again(&self, object: &Value) -> Value {
        let path = match text(&object["object"]).as_str() {
            "subscription" => "/v1/subscriptions",
            "invoice" => "/v1/invoices",
            _ => SCHEDULES,
        };
        self.world.get(&format!("{path}/{}", text(&object["id"]))).await
    }

    async fn subscription_of(&self, schedule: &Value) -> Value {
        let schedule = self.again(schedule).await;
        let id = [&schedule["subscription"], &schedule["released_subscription"]]
            .into_iter()
            .find_map(Value::as_str);
        self.world.get(&format!("/v1/subscriptions/{}", id.unwrap())).await
    }

    /// What each invoice of the customer bills line by line, and its status, oldest first.
    async fn invoices(&self) -> Vec<(Vec<i64>, String)> {
        let list = self
            .world
            .get(&format!("/v1/invoices?customer={}&limit=100", self.customer))
            .await;
        let mut all: Vec<_> = list["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (amounts(one), text(&one["status"])))
            .collect();
        all.reverse();
        all
    }

    /// The amounts of the invoice items that wait, oldest first.
    async fn waiting(&self) -> Vec<i64> {
        let list = self.world.get("/v1/invoiceitems?pending=true&limit=100").await;
        let items = list["data"].as_array().unwrap().iter().rev();
        items.map(|one| one["amount"].as_i64().unwrap()).collect()
    }

    async fn advance_to(&self, moment: i64) {
        let now = self.world.look("clock").await["now"].as_i64().unwrap();
        self.world.advance(moment - now).await;
    }

    /// The types of the events since `before` of them had happened.
    async fn events_since(&self, before: usize) -> Vec<String> {
        self.world.events().await.split_off(before)
    }
}

fn amounts(invoice: &Value) -> Vec<i64> {
    let lines = invoice["lines"]["data"].as_array().unwrap().iter();
    lines.map(|line| line["amount"].as_i64().unwrap()).collect()
}

fn paid(amounts: &[i64]) -> (Vec<i64>, String) {
    (amounts.to_vec(), "paid".to_owned())
}

fn draft(amounts: &[i64]) -> (Vec<i64>, String) {
    (amounts.to_vec(), "draft".to_owned())
}

fn path(object: &Value) -> String {
    let kind = match text(&object["object"]).as_str() {
        "subscription" => "subscriptions",
        _ => "subscription_schedules",
    };
    format!("/v1/{kind}/{}", text(&object["id"]))
}

/// The prices and quantities of a subscription.
fn sold(subscription: &Value) -> Vec<(String, i64)> {
    let items = subscription["items"]["data"].as_array().unwrap().iter();
    items
        .map(|item| {
            (
                text(&item["price"]["id"]),
                item["quantity"].as_i64().unwrap_or_default(),
            )
        })
        .collect()
}

/// What follows the present phase at the end of its period, as it is usually asked for.
fn then(schedule: &Value, present: &str, present_quantity: i64, next: &str, next_quantity: i64) -> String {
    let phase = &schedule["phases"][0];
    format!(
        "end_behavior=release&proration_behavior=none\
         &phases[0][items][0][price]={present}&phases[0][items][0][quantity]={present_quantity}\
         &phases[0][start_date]={}&phases[0][end_date]={}\
         &phases[1][items][0][price]={next}&phases[1][items][0][quantity]={next_quantity}\
         &phases[1][proration_behavior]=none",
        phase["start_date"], phase["end_date"]
    )
}
