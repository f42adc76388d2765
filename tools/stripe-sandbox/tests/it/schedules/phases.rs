//! Phases follow each other and are billed to the cent.

use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn a_plan_is_left_when_its_period_ends() {
    for mode in ["flexible", "classic"] {
        let seller = Seller::new().await;
        let (pro, basic) = (seller.price(7900, "month").await, seller.price(2900, "month").await);
        let subscription = seller.subscribe(&pro, &format!("&billing_mode[type]={mode}")).await;
        let id = text(&subscription["id"]);
        seller.advance_to(JUNE + INTO_JUNE).await;

        let before = seller.world.events().await.len();
        let schedule = seller.post(SCHEDULES, &format!("from_subscription={id}")).await;
        assert_eq!(schedule["status"], "active");
        assert_eq!(schedule["billing_mode"]["type"], mode);
        assert_eq!(
            schedule["current_phase"],
            json!({ "start_date": JUNE, "end_date": JULY })
        );
        assert_eq!(schedule["phases"][0]["items"][0]["price"], json!(pro));
        assert_eq!(schedule["phases"][0]["items"][0]["plan"], json!(pro));
        assert_eq!(seller.again(&subscription).await["schedule"], schedule["id"]);
        let events = seller.events_since(before).await;
        assert_eq!(
            events,
            ["subscription_schedule.created", "customer.subscription.updated"]
        );

        let before = seller.world.events().await.len();
        let planned = seller
            .post(&path(&schedule), &then(&schedule, &pro, 1, &basic, 1))
            .await;
        assert_eq!(
            planned["current_phase"],
            json!({ "start_date": JUNE, "end_date": JULY })
        );
        assert_eq!(planned["phases"][1]["start_date"], JULY);
        assert_eq!(
            planned["phases"][1]["end_date"], AUGUST,
            "one period, as nothing else was said"
        );
        assert_eq!(
            seller.events_since(before).await,
            ["subscription_schedule.updated"],
            "{mode}"
        );
        assert_eq!(sold(&seller.again(&subscription).await), [(pro.clone(), 1)]);

        let before = seller.world.events().await.len();
        seller.advance_to(JULY).await;
        let downgraded = seller.again(&subscription).await;
        assert_eq!(sold(&downgraded), [(basic.clone(), 1)]);
        assert_eq!(downgraded["items"]["data"][0]["current_period_start"], JULY);
        assert_eq!(downgraded["items"]["data"][0]["current_period_end"], AUGUST);
        assert_eq!(downgraded["billing_cycle_anchor"], JUNE);
        assert_eq!(
            seller.events_since(before).await,
            [
                "invoice.upcoming",
                "subscription_schedule.updated",
                "invoice.created",
                "customer.subscription.updated"
            ]
        );
        seller.advance_to(JULY + 2 * HOUR).await;
        assert_eq!(
            seller.invoices().await,
            [paid(&[7900]), paid(&[2900])],
            "{mode}: no credit, no debit"
        );
        assert_eq!(seller.waiting().await, Vec::<i64>::new());

        seller.advance_to(AUGUST - 7 * DAY).await;
        let events = seller.world.events().await;
        assert!(events.ends_with(&[
            "subscription_schedule.expiring".to_owned(),
            "invoice.upcoming".to_owned()
        ]));
        let before = seller.world.events().await.len();
        seller.advance_to(AUGUST).await;
        let released = seller.again(&schedule).await;
        assert_eq!(
            (
                &released["status"],
                &released["released_at"],
                &released["released_subscription"]
            ),
            (&json!("released"), &json!(AUGUST), &json!(id))
        );
        assert_eq!(
            (&released["subscription"], &released["current_phase"]),
            (&Value::Null, &Value::Null)
        );
        let story = [
            "subscription_schedule.updated",
            "customer.subscription.updated",
            "subscription_schedule.released",
            "invoice.created",
            "customer.subscription.updated",
        ];
        assert_eq!(seller.events_since(before).await, story);
        seller.advance_to(AUGUST + 2 * HOUR).await;
        let freed = seller.again(&subscription).await;
        assert_eq!((&freed["status"], &freed["schedule"]), (&json!("active"), &Value::Null));
        assert_eq!(seller.invoices().await, [paid(&[7900]), paid(&[2900]), paid(&[2900])]);
    }
}

#[tokio::test]
async fn a_price_rises_for_all_seats_when_the_period_ends() {
    let seller = Seller::new().await;
    let (old, new) = (seller.price(1200, "month").await, seller.price(1500, "month").await);
    let subscription = seller.subscribe(&old, "&items[0][quantity]=5").await;
    let id = text(&subscription["id"]);
    let schedule = seller.post(SCHEDULES, &format!("from_subscription={id}")).await;
    assert_eq!(schedule["phases"][0]["items"][0]["quantity"], 5);
    seller.post(&path(&schedule), &then(&schedule, &old, 5, &new, 5)).await;
    seller.advance_to(AUGUST + 2 * HOUR).await;
    assert_eq!(seller.invoices().await, [paid(&[6000]), paid(&[7500]), paid(&[7500])]);
    assert_eq!(seller.again(&schedule).await["status"], "released");
}

#[tokio::test]
async fn a_phase_in_the_middle_of_a_period_is_prorated_as_it_says() {
    for (behavior, waiting, invoices) in [
        ("create_prorations", vec![-1901, 5179], vec![paid(&[2900])]),
        ("always_invoice", vec![], vec![paid(&[2900]), draft(&[-1901, 5179])]),
        ("none", vec![], vec![paid(&[2900])]),
    ] {
        let seller = Seller::new().await;
        let (basic, pro) = (seller.price(2900, "month").await, seller.price(7900, "month").await);
        let change = JUNE + INTO_JUNE;
        let form = format!(
            "&phases[0][items][0][price]={basic}&phases[0][end_date]={change}\
             &phases[1][items][0][price]={pro}&phases[1][end_date]={AUGUST}&phases[1][proration_behavior]={behavior}"
        );
        let schedule = seller.schedule("now", &form).await;
        seller.advance_to(change - 1).await;
        assert_eq!(sold(&seller.subscription_of(&schedule).await), [(basic, 1)]);
        seller.advance_to(change).await;
        let subscription = seller.subscription_of(&schedule).await;
        assert_eq!(sold(&subscription), [(pro, 1)], "{behavior}");
        assert_eq!(subscription["items"]["data"][0]["current_period_end"], JULY);
        assert_eq!(seller.waiting().await, waiting, "{behavior}");
        assert_eq!(seller.invoices().await, invoices, "{behavior}");
        seller.advance_to(JULY + 2 * HOUR).await;
        let mut month = vec![7900];
        month.extend(waiting);
        let last = seller.invoices().await.pop().unwrap();
        assert_eq!(last, paid(&month), "{behavior}");
    }
}

#[tokio::test]
async fn a_phase_begins_a_period_where_it_says_so_or_another_interval_does() {
    for (anchor, interval) in [("&phases[1][billing_cycle_anchor]=phase_start", "month"), ("", "year")] {
        let seller = Seller::new().await;
        let (basic, next) = (seller.price(2900, "month").await, seller.price(7900, interval).await);
        let change = JUNE + INTO_JUNE;
        let form = format!(
            "&phases[0][items][0][price]={basic}&phases[0][end_date]={change}\
             &phases[1][items][0][price]={next}{anchor}"
        );
        let schedule = seller.schedule("now", &form).await;
        seller.advance_to(change).await;
        let subscription = seller.subscription_of(&schedule).await;
        assert_eq!(subscription["billing_cycle_anchor"], change, "{interval}");
        assert_eq!(subscription["items"]["data"][0]["current_period_start"], change);
        assert_eq!(
            seller.invoices().await,
            [paid(&[2900]), draft(&[7900, -1901])],
            "{interval}"
        );
        seller.advance_to(change + HOUR).await;
        assert_eq!(seller.invoices().await, [paid(&[2900]), paid(&[7900, -1901])]);
    }
}

#[tokio::test]
async fn a_year_follows_a_month_where_the_month_ends() {
    for mode in ["flexible", "classic"] {
        let seller = Seller::new().await;
        let (monthly, yearly) = (seller.price(2900, "month").await, seller.price(29_000, "year").await);
        let subscription = seller.subscribe(&monthly, &format!("&billing_mode[type]={mode}")).await;
        let form = format!("from_subscription={}", text(&subscription["id"]));
        let schedule = seller.post(SCHEDULES, &form).await;
        seller
            .post(&path(&schedule), &then(&schedule, &monthly, 1, &yearly, 1))
            .await;
        seller.advance_to(JULY + 2 * HOUR).await;
        assert_eq!(seller.invoices().await, [paid(&[2900]), paid(&[29_000])], "{mode}");
        let year = seller.again(&subscription).await;
        assert_eq!(year["items"]["data"][0]["current_period_start"], JULY);
        assert_eq!(year["items"]["data"][0]["current_period_end"], JULY + 365 * DAY);
        assert_eq!(seller.again(&schedule).await["phases"][1]["end_date"], JULY + 365 * DAY);
    }
}

#[tokio::test]
async fn a_trial_is_a_phase_or_part_of_one() {
    for (trial, ends) in [
        ("&phases[0][trial]=true".to_owned(), JULY),
        (format!("&phases[0][trial_end]={}", JUNE + 14 * DAY), JUNE + 14 * DAY),
    ] {
        let seller = Seller::new().await;
        let (basic, pro) = (seller.price(2900, "month").await, seller.price(7900, "month").await);
        let form = format!(
            "&phases[0][items][0][price]={basic}{trial}&phases[0][end_date]={JULY}\
             &phases[1][items][0][price]={pro}&phases[1][proration_behavior]=none"
        );
        let schedule = seller.schedule("now", &form).await;
        assert_eq!(schedule["phases"][0]["trial_end"], ends);
        let subscription = seller.subscription_of(&schedule).await;
        assert_eq!(
            (&subscription["status"], &subscription["trial_end"]),
            (&json!("trialing"), &json!(ends))
        );
        seller.advance_to(ends + 2 * HOUR).await;
        let (price, amount) = if ends == JULY { (&pro, 7900) } else { (&basic, 2900) };
        let subscription = seller.subscription_of(&schedule).await;
        assert_eq!(
            (&subscription["status"], sold(&subscription)),
            (&json!("active"), vec![(price.clone(), 1)])
        );
        assert_eq!(seller.invoices().await, [paid(&[0]), paid(&[amount])]);
    }
}

#[tokio::test]
async fn a_phase_brings_its_discount_its_metadata_and_what_it_sells_once() {
    let seller = Seller::new().await;
    let price = seller.price(2900, "month").await;
    let coupon = text(&seller.post("/v1/coupons", "percent_off=50&duration=forever").await["id"]);
    let product = &seller.product;
    let form = format!(
        "&phases[0][items][0][price]={price}&phases[0][duration][interval]=month&phases[0][metadata][a]=1\
         &phases[0][metadata][b]=1&phases[0][discounts][0][coupon]={coupon}\
         &phases[0][add_invoice_items][0][price_data][product]={product}\
         &phases[0][add_invoice_items][0][price_data][currency]=usd\
         &phases[0][add_invoice_items][0][price_data][unit_amount]=5000\
         &phases[1][items][0][price]={price}&phases[1][metadata][a]=&phases[1][metadata][c]=2\
         &phases[1][add_invoice_items][0][price_data][product]={product}\
         &phases[1][add_invoice_items][0][price_data][currency]=usd&phases[1][add_invoice_items][0][quantity]=2\
         &phases[1][add_invoice_items][0][price_data][unit_amount]=100"
    );
    let schedule = seller.schedule("now", &form).await;
    let first = seller.subscription_of(&schedule).await;
    assert_eq!(first["metadata"], json!({ "a": "1", "b": "1" }));
    assert_eq!(first["discounts"].as_array().unwrap().len(), 1);
    assert_eq!(schedule["phases"][0]["discounts"][0]["coupon"], json!(coupon));
    seller.advance_to(JUNE + HOUR).await;
    let invoice = seller
        .world
        .get(&format!("/v1/invoices/{}", text(&first["latest_invoice"])))
        .await;
    assert_eq!((amounts(&invoice), &invoice["total"]), (vec![2900, 5000], &json!(3950)));
    seller.advance_to(JULY + HOUR).await;
    let second = seller.subscription_of(&schedule).await;
    assert_eq!(second["metadata"], json!({ "b": "1", "c": "2" }));
    assert_eq!(second["discounts"], json!([]));
    let invoice = seller
        .world
        .get(&format!("/v1/invoices/{}", text(&second["latest_invoice"])))
        .await;
    assert_eq!((amounts(&invoice), &invoice["total"]), (vec![2900, 200], &json!(3100)));
    let events = seller.world.events().await;
    assert!(
        has_in_order(&events, &["customer.discount.created", "customer.discount.deleted"]),
        "{events:?}"
    );
}

#[tokio::test]
async fn what_was_used_is_billed_though_another_price_follows() {
    let seller = Seller::new().await;
    let metered = seller.metered_price(10).await;
    let basic = seller.price(2900, "month").await;
    let subscription = seller.subscribe(&metered, "").await;
    let form = format!("from_subscription={}", text(&subscription["id"]));
    let schedule = seller.post(SCHEDULES, &form).await;
    assert_eq!(schedule["phases"][0]["items"][0].get("quantity"), None);
    let form = format!(
        "phases[0][items][0][price]={metered}&phases[0][start_date]={JUNE}&phases[0][end_date]={JULY}\
         &phases[1][items][0][price]={basic}"
    );
    seller.post(&path(&schedule), &form).await;
    seller.report(7).await;
    seller.advance_to(JULY + 2 * HOUR).await;
    let last = seller.invoices().await.pop().unwrap();
    assert_eq!(last, paid(&[2900, 70]));
}

#[tokio::test]
async fn where_a_month_ends_within_a_year_each_is_billed_as_its_own() {
    for behavior in ["create_prorations", "always_invoice", "none"] {
        let seller = Seller::new().await;
        let (monthly, yearly) = (seller.price(2900, "month").await, seller.price(36_500, "year").await);
        let form = format!("&items[1][price]={yearly}");
        let subscription = seller.subscribe(&monthly, &form).await;
        let form = format!("from_subscription={}", text(&subscription["id"]));
        let schedule = seller.post(SCHEDULES, &form).await;
        assert_eq!(schedule["phases"][0]["end_date"], JULY, "the period that ends first");
        let form = format!(
            "phases[0][items][0][price]={monthly}&phases[0][items][1][price]={yearly}&phases[0][start_date]={JUNE}\
             &phases[0][end_date]={JULY}&phases[1][items][0][price]={monthly}&phases[1][items][1][price]={yearly}\
             &phases[1][items][1][quantity]=2&phases[1][proration_behavior]={behavior}"
        );
        seller.post(&path(&schedule), &form).await;
        seller.advance_to(JULY + 2 * HOUR).await;
        // 335 days of the year are left.
        let expected: &[i64] = match behavior {
            "none" => &[2900],
            _ => &[2900, -33_500, 67_000],
        };
        assert_eq!(seller.invoices().await[1..], [paid(expected)], "{behavior}");
        let ends = |one: &Value| one["current_period_end"].as_i64().unwrap();
        let changed = seller.again(&subscription).await;
        let items: Vec<i64> = changed["items"]["data"].as_array().unwrap().iter().map(ends).collect();
        assert_eq!(items, [AUGUST, JUNE + 365 * DAY]);
    }
}

#[tokio::test]
async fn a_trial_goes_on_if_the_phase_says_so_and_ends_otherwise() {
    for (trial, status, invoices) in [
        (
            format!("&phases[0][trial_end]={}", JUNE + 9 * DAY),
            "trialing",
            vec![paid(&[0])],
        ),
        (
            format!("&phases[0][trial_end]={}", JUNE + 5 * DAY),
            "trialing",
            vec![paid(&[0])],
        ),
        (String::new(), "active", vec![paid(&[0]), draft(&[2900])]),
        (
            "&phases[0][trial_end]=now".to_owned(),
            "active",
            vec![paid(&[0]), draft(&[2900])],
        ),
    ] {
        let seller = Seller::new().await;
        let price = seller.price(2900, "month").await;
        let subscription = seller.subscribe(&price, "&trial_period_days=9").await;
        let form = format!("from_subscription={}", text(&subscription["id"]));
        let schedule = seller.post(SCHEDULES, &form).await;
        assert_eq!(schedule["phases"][0]["trial_end"], JUNE + 9 * DAY);
        seller.advance_to(JUNE + DAY).await;
        let form = format!(
            "phases[0][items][0][price]={price}&phases[0][start_date]={JUNE}&phases[0][end_date]={JULY}{trial}"
        );
        seller.post(&path(&schedule), &form).await;
        let now = seller.again(&subscription).await;
        assert_eq!(now["status"], status, "{trial}");
        if status == "trialing" {
            assert_eq!(trial, format!("&phases[0][trial_end]={}", now["trial_end"]));
        }
        assert_eq!(seller.invoices().await, invoices, "{trial}");
        seller.advance_to(JUNE + 9 * DAY + 2 * HOUR).await;
        assert_eq!(seller.invoices().await, [paid(&[0]), paid(&[2900])], "{trial}");
    }
}

#[tokio::test]
async fn usage_is_billed_where_a_phase_begins_a_period() {
    let seller = Seller::new().await;
    let metered = seller.metered_price(10).await;
    let change = JUNE + INTO_JUNE;
    let form = format!(
        "&phases[0][items][0][price]={metered}&phases[0][end_date]={change}\
         &phases[1][items][0][price]={metered}&phases[1][billing_cycle_anchor]=phase_start"
    );
    seller.schedule("now", &form).await;
    seller.advance_to(change - HOUR).await;
    seller.report(7).await;
    seller.advance_to(change + HOUR).await;
    seller.report(4).await;
    // In flexible mode what is metered has no line before it is used.
    assert_eq!(seller.invoices().await, [paid(&[70])]);
    seller.advance_to(change + 31 * DAY).await;
    assert_eq!(seller.invoices().await[1].0, [40]);
}

#[tokio::test]
async fn an_item_has_a_discount_of_its_own_as_long_as_its_phase_says() {
    let seller = Seller::new().await;
    let (basic, pro) = (seller.price(2900, "month").await, seller.price(7900, "month").await);
    let half = text(&seller.post("/v1/coupons", "percent_off=50&duration=forever").await["id"]);
    let once = text(&seller.post("/v1/coupons", "percent_off=10&duration=once").await["id"]);
    let phase =
        |index: usize| format!("&phases[{index}][items][0][price]={basic}&phases[{index}][items][1][price]={pro}");
    let form = format!(
        "{}&phases[0][items][0][discounts][0][coupon]={half}&phases[0][items][1][discounts][0][coupon]={once}\
         &phases[0][duration][interval]=month&phases[0][duration][interval_count]=2\
         {}&phases[1][items][1][discounts][0][coupon]={half}&phases[1][proration_behavior]=none",
        phase(0),
        phase(1)
    );
    let schedule = seller.schedule("now", &form).await;
    assert_eq!(schedule["phases"][0]["items"][0]["discounts"][0]["coupon"], json!(half));
    let first = seller.subscription_of(&schedule).await;
    let discount = text(&first["items"]["data"][0]["discounts"][0]);
    let discount = seller.world.look("objects/discount").await["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["object"]["id"] == json!(discount))
        .unwrap()["object"]
        .clone();
    assert_eq!(discount["subscription_item"], first["items"]["data"][0]["id"]);
    seller.advance_to(SEPTEMBER).await;
    let list = seller
        .world
        .get(&format!("/v1/invoices?customer={}", seller.customer))
        .await;
    let totals: Vec<i64> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|one| one["total"].as_i64().unwrap())
        .collect();
    assert_eq!(totals, [1450 + 7110, 1450 + 7900, 2900 + 3950, 2900 + 3950]);
    // The direct change of one item leaves what the phase says of the other.
    let schedule = seller.schedule("now", &form).await;
    let item = text(&seller.subscription_of(&schedule).await["items"]["data"][1]["id"]);
    seller
        .post(&format!("/v1/subscription_items/{item}"), "quantity=2")
        .await;
    let followed = seller.again(&schedule).await;
    assert_eq!(followed["phases"][0]["items"][0], schedule["phases"][0]["items"][0]);
    assert_eq!(followed["phases"][0]["items"][1]["quantity"], 2);
}
