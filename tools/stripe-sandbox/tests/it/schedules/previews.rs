//! Previews of schedules, and notice of invoices that phases change.

use serde_json::{Value, json};

use super::*;

const PREVIEW: &str = "/v1/invoices/create_preview";

impl Seller {
    async fn preview(&self, form: &str) -> Value {
        let hash = self.world.look("world").await["sha256"].clone();
        let preview = self.post(PREVIEW, form).await;
        assert_eq!(
            self.world.look("world").await["sha256"],
            hash,
            "{form} left something behind"
        );
        assert!(text(&preview["id"]).starts_with("upcoming_in_"), "{preview}");
        preview
    }

    async fn nothing_upcoming(&self, form: &str) {
        let answer = self.world.call("POST", PREVIEW, &fields(form)).await;
        let code = answer.json()["error"]["code"].clone();
        assert_eq!((answer.status, code), (404, json!("invoice_upcoming_none")), "{form}");
    }
}

/// The parameters of an update of a schedule as those of its preview.
fn details(form: &str) -> String {
    let named = form.split('&').map(|field| match field.split_once('[') {
        Some((name, rest)) if !name.contains('=') => format!("schedule_details[{name}][{rest}"),
        _ => field
            .split_once('=')
            .map_or_else(String::new, |(name, value)| format!("schedule_details[{name}]={value}")),
    });
    named.collect::<Vec<_>>().join("&")
}

#[tokio::test]
async fn the_next_invoice_of_a_schedule_is_that_of_its_next_phase() {
    let seller = Seller::new().await;
    let (basic, pro) = (seller.price(2900, "month").await, seller.price(7900, "month").await);
    let subscription = seller.subscribe(&basic, "").await;
    let id = text(&subscription["id"]);
    let schedule = seller.post(SCHEDULES, &format!("from_subscription={id}")).await;
    let schedule_id = text(&schedule["id"]);
    let plain = seller.preview(&format!("schedule={schedule_id}")).await;
    assert_eq!((amounts(&plain), &plain["created"]), (vec![2900], &json!(JULY)));
    let change = then(&schedule, &basic, 1, &pro, 2);
    let asked = format!("schedule={schedule_id}&{}", details(&change));
    let foretold = seller.preview(&asked).await;
    assert_eq!(amounts(&foretold), [15_800]);
    assert_eq!(
        foretold["parent"]["subscription_details"]["subscription"],
        subscription["id"]
    );
    seller.post(&path(&schedule), &change).await;
    for form in [format!("schedule={schedule_id}"), format!("subscription={id}")] {
        let preview = seller.preview(&form).await;
        assert_eq!(
            (amounts(&preview), &preview["created"]),
            (vec![15_800], &json!(JULY)),
            "{form}"
        );
    }
    let recurring = seller
        .preview(&format!("schedule={schedule_id}&preview_mode=recurring"))
        .await;
    assert_eq!(amounts(&recurring), [2900], "of the present phase");
    seller.advance_to(JULY).await;
    assert_eq!(seller.invoices().await[1], draft(&[15_800]));
}

#[tokio::test]
async fn a_change_of_the_present_phase_is_previewed_with_its_prorations() {
    let seller = Seller::new().await;
    let (basic, pro) = (seller.price(2900, "month").await, seller.price(7900, "month").await);
    let subscription = seller.subscribe(&basic, "").await;
    let schedule = seller
        .post(SCHEDULES, &format!("from_subscription={}", text(&subscription["id"])))
        .await;
    seller.advance_to(JUNE + INTO_JUNE).await;
    for (behavior, lines, created) in [
        ("always_invoice", vec![-1901, 5179], JUNE + INTO_JUNE),
        ("create_prorations", vec![7900, -1901, 5179], JULY),
        ("none", vec![7900], JULY),
    ] {
        let change = format!(
            "proration_behavior={behavior}&phases[0][items][0][price]={pro}&phases[0][start_date]={JUNE}\
             &phases[0][end_date]={AUGUST}"
        );
        let asked = format!("schedule={}&{}", text(&schedule["id"]), details(&change));
        let preview = seller.preview(&asked).await;
        assert_eq!(
            (amounts(&preview), &preview["created"]),
            (lines, &json!(created)),
            "{behavior}"
        );
        let moment = &preview["parent"]["subscription_details"]["subscription_proration_date"];
        let expected = json!(JUNE + INTO_JUNE);
        assert_eq!(
            moment,
            if behavior == "none" { &Value::Null } else { &expected },
            "{behavior}"
        );
    }
}

#[tokio::test]
async fn a_schedule_that_is_not_there_is_previewed() {
    let seller = Seller::new().await;
    let (basic, pro) = (seller.price(2900, "month").await, seller.price(7900, "month").await);
    let customer = &seller.customer;
    let phases = format!(
        "phases[0][items][0][price]={basic}&phases[0][items][0][quantity]=2&phases[0][end_date]={AUGUST}\
         &phases[1][items][0][price]={pro}"
    );
    let now = seller
        .preview(&format!("customer={customer}&{}", details(&phases)))
        .await;
    assert_eq!((amounts(&now), &now["created"]), (vec![5800], &json!(JUNE)));
    // Nobody in particular, later, and first of all on trial.
    for (mode, trial, first) in [("classic", "", 2900), ("flexible", "&phases[0][trial]=true", 0)] {
        let phases = format!(
            "phases[0][items][0][price]={basic}&phases[0][start_date]={JULY}&phases[0][duration][interval]=month{trial}\
             &end_behavior=cancel&billing_mode[type]={mode}"
        );
        let later = seller.preview(&details(&phases)).await;
        assert_eq!((amounts(&later), &later["created"]), (vec![first], &json!(JULY)));
    }
    let recurring = format!(
        "preview_mode=recurring&customer={customer}&{}",
        details(&format!("{phases}&phases[0][trial_end]={JULY}"))
    );
    assert_eq!(amounts(&seller.preview(&recurring).await), [5800]);

    let form = format!("&phases[0][items][0][price]={basic}&end_behavior=cancel");
    let schedule = seller.schedule(&JULY.to_string(), &form).await;
    let id = text(&schedule["id"]);
    let begins = seller.preview(&format!("schedule={id}")).await;
    assert_eq!((amounts(&begins), &begins["created"]), (vec![2900], &json!(JULY)));
    let items = format!(
        "schedule={id}&invoice_items[0][amount]=-500&invoice_items[0][currency]=usd&{}",
        details(&format!(
            "phases[0][items][0][price]={pro}&phases[0][start_date]={JULY}&phases[0][discounts]="
        ))
    );
    assert_eq!(amounts(&seller.preview(&items).await), [7900, -500]);
    seller.advance_to(JULY).await;
    let begun = seller.again(&schedule).await;
    assert_eq!(begun["status"], "active");
    // It ends with its phase.
    seller.nothing_upcoming(&format!("schedule={id}")).await;
    let goes_on = format!("schedule={id}&{}", details("end_behavior=release"));
    assert_eq!(amounts(&seller.preview(&goes_on).await), [2900]);
    seller.advance_to(AUGUST).await;
    assert_eq!(seller.again(&schedule).await["status"], "completed");
    seller.nothing_upcoming(&format!("schedule={id}")).await;
}

#[tokio::test]
async fn what_a_schedule_ends_with_is_previewed() {
    let seller = Seller::new().await;
    let price = seller.metered_price(10).await;
    let form = format!("&phases[0][items][0][price]={price}&phases[0][end_date]={AUGUST}");
    let schedule = seller.schedule("now", &form).await;
    seller.advance_to(JUNE + DAY).await;
    seller.report(7).await;
    seller.advance_to(JUNE + 2 * DAY).await;
    let ends = format!(
        "phases[0][items][0][price]={price}&phases[0][start_date]={JUNE}&phases[0][end_date]=now&end_behavior=cancel"
    );
    let asked = format!("schedule={}&{}", text(&schedule["id"]), details(&ends));
    let last = seller.preview(&asked).await;
    assert_eq!((amounts(&last), &last["created"]), (vec![70], &json!(JUNE + 2 * DAY)));
}

#[tokio::test]
async fn what_of_a_schedule_is_not_previewed_is_refused() {
    let seller = Seller::new().await;
    let price = seller.price(2900, "month").await;
    let subscription = seller.subscribe(&price, "").await;
    let subscription = text(&subscription["id"]);
    let phases = format!("phases[0][items][0][price]={price}");
    let schedule = seller.schedule("now", &format!("&{phases}")).await;
    let id = text(&schedule["id"]);
    let other = text(&seller.post("/v1/customers", "name=Other").await["id"]);
    let details = |form: &str| details(form);
    for (form, param) in [
        (String::new(), None),
        (
            "schedule_details[end_behavior]=cancel".to_owned(),
            Some("schedule_details"),
        ),
        (format!("schedule={id}&subscription={subscription}"), Some("schedule")),
        (
            format!("schedule={id}&subscription_details[cancel_now]=true"),
            Some("schedule"),
        ),
        (
            format!("subscription={subscription}&{}", details(&phases)),
            Some("schedule_details"),
        ),
        (
            format!("{}&subscription_details[items][0][price]={price}", details(&phases)),
            Some("schedule_details"),
        ),
        (format!("schedule={id}&customer={other}"), Some("schedule")),
        (format!("schedule={id}&currency=eur"), Some("currency")),
        (format!("schedule={id}&discounts="), Some("discounts")),
        (
            format!("schedule={id}&automatic_tax[enabled]=true"),
            Some("automatic_tax"),
        ),
        (
            format!("schedule={id}&{}", details("billing_mode[type]=classic")),
            Some("schedule_details[billing_mode]"),
        ),
        (
            format!("schedule={id}&{}", details(&phases)),
            Some("schedule_details[phases]"),
        ),
        (
            details(&format!("{phases}&phases[0][start_date]={}", JUNE - DAY)),
            Some("schedule_details[phases][0][start_date]"),
        ),
        (
            details("phases[0][items][0][quantity]=2"),
            Some("schedule_details[phases][0][items][0][price]"),
        ),
        (
            details(&format!("{phases}&phases[0][trial]=true&phases[0][trial_end]={JUNE}")),
            Some("schedule_details[phases][0][trial_end]"),
        ),
    ] {
        let error = seller.refused(PREVIEW, &form).await;
        assert_eq!(error["param"].as_str(), param, "{form}: {error}");
    }
    let missing = seller
        .world
        .call("POST", PREVIEW, &[("schedule", "sub_sched_no")])
        .await;
    assert_eq!(missing.status, 400, "{}", missing.text);
    seller.post(&format!("{}/release", path(&schedule)), "").await;
    seller.nothing_upcoming(&format!("schedule={id}")).await;
    let changed = format!("schedule={id}&{}", details("end_behavior=cancel"));
    let error = seller.refused(PREVIEW, &changed).await;
    assert!(text(&error["message"]).contains("in the `released` status"), "{error}");
}

#[tokio::test]
async fn notice_is_given_of_the_invoice_that_a_phase_makes() {
    for (phase, created, lines) in [
        // With the period that begins, within the one that ends, and not before it.
        (format!("&phases[0][end_date]={JULY}"), JULY, vec![7900]),
        (
            format!("&phases[0][end_date]={}&phases[1][proration_behavior]=none", JULY - DAY),
            JULY,
            vec![7900],
        ),
        (
            format!(
                "&phases[0][end_date]={}&phases[1][proration_behavior]=always_invoice",
                JULY - 3 * DAY
            ),
            JULY - 3 * DAY,
            vec![-290, 790],
        ),
        (format!("&phases[0][end_date]={AUGUST}"), JULY, vec![2900]),
    ] {
        let seller = Seller::new().await;
        let (basic, pro) = (seller.price(2900, "month").await, seller.price(7900, "month").await);
        let form = format!(
            "&phases[0][items][0][price]={basic}{phase}&phases[1][items][0][price]={pro}&phases[1][end_date]={SEPTEMBER}"
        );
        seller.schedule("now", &form).await;
        seller.advance_to(JULY - 7 * DAY).await;
        let told = seller.world.get("/v1/events?type=invoice.upcoming").await;
        let invoice = &told["data"][0]["data"]["object"];
        assert_eq!(
            (amounts(invoice), &invoice["created"]),
            (lines, &json!(created)),
            "{phase}"
        );
        assert_eq!(invoice.get("id"), None);
        assert_eq!(
            (&invoice["billing_reason"], &invoice["next_payment_attempt"]),
            (&json!("upcoming"), &json!(created + HOUR))
        );
        assert_eq!(seller.invoices().await.len(), 1, "nothing came of it");
    }
}
