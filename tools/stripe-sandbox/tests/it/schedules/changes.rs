//! What is changed of a schedule and of its subscription, and what is refused.

use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn the_present_phase_and_those_to_come_are_changed() {
    let seller = Seller::new().await;
    let (basic, pro) = (seller.price(1200, "month").await, seller.price(7900, "month").await);
    let form = format!(
        "&phases[0][items][0][price]={basic}&phases[0][items][0][quantity]=5&phases[0][end_date]={JULY}\
         &phases[1][items][0][price]={basic}&phases[1][items][0][quantity]=5&phases[1][end_date]={AUGUST}"
    );
    let schedule = seller.schedule("now", &form).await;
    seller.advance_to(JUNE + INTO_JUNE).await;
    let seats = |quantity: i64| {
        format!(
            "phases[0][items][0][price]={basic}&phases[0][items][0][quantity]={quantity}&phases[0][start_date]={JUNE}\
             &phases[0][end_date]={JULY}&phases[1][items][0][price]={pro}&phases[1][end_date]={SEPTEMBER}"
        )
    };
    let before = seller.world.events().await.len();
    let changed = seller.post(&path(&schedule), &seats(8)).await;
    assert_eq!(changed["phases"][0]["items"][0]["quantity"], 8);
    assert_eq!(sold(&seller.subscription_of(&schedule).await), [(basic.clone(), 8)]);
    assert_eq!(seller.waiting().await, [-3933, 6293]);
    let story = [
        "invoiceitem.created",
        "invoiceitem.created",
        "customer.subscription.updated",
    ];
    let events = seller.events_since(before).await;
    assert_eq!(events[0], "subscription_schedule.updated");
    assert!(has_in_order(&events, &story), "{events:?}");

    seller.advance_to(JULY + 2 * HOUR).await;
    assert_eq!(seller.invoices().await, [paid(&[6000]), paid(&[7900, -3933, 6293])]);
    // Phases that are over may be left out, and stay.
    let form = format!("phases[0][items][0][price]={pro}&phases[0][start_date]={JULY}&phases[0][end_date]={AUGUST}");
    let shorter = seller.post(&path(&schedule), &form).await;
    let dates = |phase: &Value| (phase["start_date"].clone(), phase["end_date"].clone());
    let phases: Vec<_> = shorter["phases"].as_array().unwrap().iter().map(dates).collect();
    assert_eq!(phases, [(json!(JUNE), json!(JULY)), (json!(JULY), json!(AUGUST))]);
    // Or sent again as they are.
    let form = format!(
        "phases[0][items][0][price]={basic}&phases[0][start_date]={JUNE}&phases[0][end_date]={JULY}\
         &phases[1][items][0][price]={pro}&phases[1][end_date]=now&phases[2][items][0][price]={basic}"
    );
    let cut = seller.post(&path(&schedule), &form).await;
    assert_eq!(
        cut["current_phase"]["start_date"],
        JULY + 2 * HOUR,
        "the next has begun"
    );
    assert_eq!(cut["phases"].as_array().unwrap().len(), 3);
    assert_eq!(sold(&seller.subscription_of(&schedule).await), [(basic.clone(), 1)]);
    // The last may be ended now, and the schedule with it.
    let form = format!(
        "phases[0][items][0][price]={basic}&phases[0][start_date]={}&phases[0][end_date]=now",
        JULY + 2 * HOUR
    );
    seller.world.advance(HOUR).await;
    let over = seller.post(&path(&schedule), &form).await;
    assert_eq!(over["status"], "released");
    assert_eq!(seller.subscription_of(&schedule).await["status"], "active");
}

#[tokio::test]
async fn what_a_schedule_cannot_be_is_refused() {
    let seller = Seller::new().await;
    let (price, other) = (seller.price(2900, "month").await, seller.price(7900, "month").await);
    let customer = &seller.customer;
    let item = format!("phases[0][items][0][price]={price}");
    let second = format!("phases[1][items][0][price]={other}");
    let subscription = seller.subscribe(&price, "").await;
    let id = text(&subscription["id"]);
    let subscriber = format!("customer={customer}");
    let past = JUNE - DAY;
    for (form, param) in [
        (format!("start_date=now&{item}"), Some("customer")),
        (format!("{subscriber}&{item}"), Some("start_date")),
        (format!("{subscriber}&start_date=now"), Some("phases")),
        (format!("{subscriber}&start_date={past}&{item}"), Some("start_date")),
        (
            format!("{subscriber}&start_date=now&{item}&phases[0][end_date]={past}"),
            Some("phases[0][end_date]"),
        ),
        (
            format!("{subscriber}&start_date=now&{item}&phases[0][iterations]=2"),
            Some("phases[0][iterations]"),
        ),
        (
            format!(
                "{subscriber}&start_date=now&{item}&phases[0][end_date]={JULY}&phases[0][duration][interval]=month"
            ),
            Some("phases[0][end_date]"),
        ),
        (
            format!(
                "{subscriber}&start_date=now&{item}&phases[0][end_date]={AUGUST}&{second}&phases[1][end_date]={JULY}"
            ),
            Some("phases[1][end_date]"),
        ),
        (
            format!(
                "{subscriber}&start_date=now&{item}&phases[0][duration][interval]=month&phases[0][duration][interval_count]=0"
            ),
            Some("phases[0][duration][interval_count]"),
        ),
        (
            format!("{subscriber}&start_date=now&{item}&phases[0][items][1][price]={price}"),
            Some("phases[0][items][1][price]"),
        ),
        (
            format!(
                "{subscriber}&start_date=now&{item}&phases[0][trial]=true&phases[0][trial_end]={}",
                JUNE + DAY
            ),
            Some("phases[0][trial_end]"),
        ),
        (
            format!("{subscriber}&start_date=now&{item}&phases[0][trial_end]={AUGUST}"),
            Some("phases[0][trial_end]"),
        ),
        (
            format!(
                "{subscriber}&start_date=now&{item}&phases[0][trial]=true&phases[0][billing_cycle_anchor]=phase_start"
            ),
            Some("phases[0][billing_cycle_anchor]"),
        ),
        (
            format!("{subscriber}&start_date=now&{item}&{second}&phases[1][trial_end]={JUNE}"),
            Some("phases[1][trial_end]"),
        ),
        (
            format!("{subscriber}&start_date=now&{item}&end_behavior=renew"),
            Some("end_behavior"),
        ),
        (
            format!("{subscriber}&start_date=now&{item}&phases[0][collection_method]=send_invoice"),
            Some("phases[0][collection_method]"),
        ),
        (
            format!("{subscriber}&start_date=now&{item}&phases[0][currency]=eur"),
            Some("phases[0][currency]"),
        ),
        (format!("from_subscription={id}&{item}"), Some("phases")),
        (
            format!("from_subscription={id}&end_behavior=cancel"),
            Some("end_behavior"),
        ),
    ] {
        let error = seller.refused(SCHEDULES, &form).await;
        assert_eq!(error["param"].as_str(), param, "{form}: {error}");
    }
    let many: String = (0..11)
        .map(|index| format!("&phases[{index}][items][0][price]={price}"))
        .collect();
    seller
        .refused(SCHEDULES, &format!("{subscriber}&start_date=now{many}"))
        .await;

    let error = seller
        .refused(SCHEDULES, &format!("from_subscription={id}&{item}"))
        .await;
    assert_eq!(
        error["message"],
        "You cannot set `phases` if `from_subscription` is set."
    );
    let schedule = seller.post(SCHEDULES, &format!("from_subscription={id}")).await;
    let error = seller.refused(SCHEDULES, &format!("from_subscription={id}")).await;
    assert_eq!(
        error["message"],
        format!("You cannot migrate a subscription that is already attached to a schedule: `{id}`.")
    );
    for (form, message) in [
        (
            format!("{item}&phases[0][end_date]={JULY}"),
            "The subscription schedule update is missing at least one phase with a `start_date` to anchor end dates to.",
        ),
        (
            format!("{item}&phases[0][start_date]={}&phases[0][end_date]={JULY}", JUNE + 1),
            "You can not modify the start date of the current phase.",
        ),
        (
            format!(
                "{item}&phases[0][start_date]={JUNE}&phases[0][end_date]={JULY}&{second}&phases[1][start_date]={}",
                JULY + 1
            ),
            "Phase 1 is invalid: its `start_date` must equal the `end_date` of the phase before it.",
        ),
    ] {
        let error = seller.refused(&path(&schedule), &form).await;
        assert_eq!(error["message"], message, "{form}");
    }
    seller.advance_to(JUNE + INTO_JUNE).await;
    let form = format!("{item}&phases[0][start_date]={JUNE}&phases[0][end_date]={}", JUNE + DAY);
    let error = seller.refused(&path(&schedule), &form).await;
    assert_eq!(
        error["message"],
        "You can only adjust the end date to a future date for the current phase."
    );
    let form = format!("{item}&phases[0][start_date]=now&phases[0][end_date]={JULY}");
    let error = seller.refused(&path(&schedule), &form).await;
    assert_eq!(
        error["message"],
        "You can not modify the start date of the current phase."
    );
}

#[tokio::test]
async fn a_subscription_is_changed_directly_and_canceled_directly() {
    let seller = Seller::new().await;
    let (basic, pro) = (seller.price(1200, "month").await, seller.price(7900, "month").await);
    let subscription = seller.subscribe(&basic, "&items[0][quantity]=5").await;
    let form = format!("from_subscription={}", text(&subscription["id"]));
    let schedule = seller.post(SCHEDULES, &form).await;
    seller
        .post(&path(&schedule), &then(&schedule, &basic, 5, &pro, 1))
        .await;
    for plan in ["cancel_at_period_end=true", "cancel_at=1790000000"] {
        let error = seller.refused(&path(&subscription), plan).await;
        let id = text(&schedule["id"]);
        assert_eq!(
            error["message"],
            format!(
                "The subscription is managed by the subscription schedule `{id}`, and updating any cancelation behavior \
                 directly is not allowed. Please update the schedule instead."
            )
        );
    }
    seller.advance_to(JUNE + INTO_JUNE).await;
    let item = text(&subscription["items"]["data"][0]["id"]);
    let before = seller.world.events().await.len();
    seller
        .post(&format!("/v1/subscription_items/{item}"), "quantity=8")
        .await;
    assert_eq!(seller.waiting().await, [-3933, 6293]);
    let events = seller.events_since(before).await;
    assert_eq!(events.last().unwrap(), "subscription_schedule.updated");
    seller.post(&path(&subscription), "description=Many").await;
    let followed = seller.again(&schedule).await;
    assert_eq!(followed["phases"][0]["items"][0]["quantity"], 8);
    assert_eq!(followed["default_settings"]["description"], "Many");
    assert_eq!(
        followed["phases"][1]["items"][0]["quantity"], 1,
        "what is to come stays"
    );
    seller.advance_to(JULY + 2 * HOUR).await;
    let changed = seller.again(&subscription).await;
    assert_eq!(
        (sold(&changed), &changed["description"]),
        (vec![(pro, 1)], &json!("Many"))
    );

    let before = seller.world.events().await.len();
    let answer = seller.world.call("DELETE", &path(&subscription), &[]).await;
    assert_eq!(answer.json()["schedule"], schedule["id"]);
    assert_eq!(
        seller.events_since(before).await,
        ["customer.subscription.deleted", "subscription_schedule.canceled"]
    );
    let canceled = seller.again(&schedule).await;
    assert_eq!(
        (&canceled["status"], &canceled["subscription"]),
        (&json!("canceled"), &subscription["id"])
    );
}
