//! Payouts by wish and by schedule, to banks where they arrive and where they do not.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Answer, DAY, START, World, has_in_order, send, start, text};

const HOUR: i64 = 3600;
/// 2027-01-15T00:00:00Z, the beginning of the day on which tests begin.
const MIDNIGHT: i64 = 1_799_971_200;
/// What is left of 100.00 after Stripe's fee.
const NET: i64 = 9680;

/// The platform, or a connected account, as a caller.
struct Account<'a> {
    world: &'a World,
    /// Empty for the platform.
    header: String,
    id: String,
}

impl Account<'_> {
    async fn call(&self, method: Method, path: &str, form: &[(&str, &str)]) -> Answer {
        let request = self.world.request(method.clone(), path);
        let request = if method == Method::GET {
            request.query(form)
        } else {
            request.form(form)
        };
        send(match &*self.header {
            "" => request,
            id => request.header("stripe-account", id),
        })
        .await
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Value {
        let answer = self.call(Method::POST, path, form).await;
        assert_eq!(answer.status, 200, "POST {path}: {}", answer.text);
        answer.json()
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.call(Method::GET, path, &[]).await;
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.text);
        answer.json()
    }

    /// Takes 100.00 with a test card.
    async fn earn(&self, card: &str) {
        let form = [
            ("amount", "10000"),
            ("currency", "usd"),
            ("confirm", "true"),
            ("payment_method", &*format!("pm_card_{card}")),
        ];
        self.post("/v1/payment_intents", &form).await;
    }

    async fn available(&self) -> Value {
        self.get("/v1/balance").await["available"][0]["amount"].clone()
    }

    async fn pay_out(&self, amount: &str) -> Value {
        self.post("/v1/payouts", &[("amount", amount), ("currency", "usd")])
            .await
    }

    async fn again(&self, payout: &Value) -> Value {
        self.get(&format!("/v1/payouts/{}", text(&payout["id"]))).await
    }

    async fn schedule(&self, form: &[(&str, &str)]) -> Value {
        let named: Vec<(String, &str)> = form
            .iter()
            .map(|(name, value)| (format!("payments[payouts][schedule][{name}]"), *value))
            .collect();
        let form: Vec<(&str, &str)> = named.iter().map(|(name, value)| (&**name, *value)).collect();
        self.post("/v1/balance_settings", &form).await
    }

    async fn add_bank(&self, form: &[(&str, &str)]) -> Value {
        self.world
            .post(&format!("/v1/accounts/{}/external_accounts", self.id), form)
            .await
    }

    async fn events(&self) -> Vec<String> {
        let objects = self.world.look("objects/event").await;
        let all = objects["data"].as_array().unwrap().iter().rev();
        let own = all.filter(|one| one["account"] == self.header);
        own.map(|one| text(&one["object"]["type"])).collect()
    }
}

async fn platform(world: &World) -> Account<'_> {
    let id = text(&world.get("/v1/account").await["id"]);
    Account {
        world,
        header: String::new(),
        id,
    }
}

/// A connected account that has been onboarded.
async fn connected(world: &World) -> Account<'_> {
    let id = text(&world.post("/v1/accounts", &[("country", "US")]).await["id"]);
    let form = [
        ("account", &*id),
        ("type", "account_onboarding"),
        ("refresh_url", "https://example.com/again"),
        ("return_url", "https://example.com/back"),
    ];
    let link = text(&world.post("/v1/account_links", &form).await["url"]);
    let done = send(world.http.post(&link).form(&[("action", "submit")])).await;
    assert_eq!(done.status, 303);
    Account {
        world,
        header: id.clone(),
        id,
    }
}

#[tokio::test]
async fn a_payout_takes_its_amount_goes_to_the_bank_and_arrives() {
    let world = start().await;
    let platform = platform(&world).await;
    platform.earn("bypassPending").await;
    let payout = platform.pay_out("5000").await;
    assert_eq!(
        (&payout["status"], &payout["automatic"], &payout["arrival_date"]),
        (&json!("pending"), &json!(false), &json!(MIDNIGHT + 2 * DAY))
    );
    assert_eq!(
        (&payout["reconciliation_status"], &payout["method"]),
        (&json!("not_applicable"), &json!("standard"))
    );
    assert_eq!(platform.available().await, NET - 5000);
    let posted = platform
        .get(&format!(
            "/v1/balance_transactions/{}",
            text(&payout["balance_transaction"])
        ))
        .await;
    assert_eq!(
        (&posted["type"], &posted["amount"], &posted["source"], &posted["status"]),
        (&json!("payout"), &json!(-5000), &payout["id"], &json!("available"))
    );
    let path = format!("/v1/payouts/{}?expand[]=destination", text(&payout["id"]));
    let bank = platform.get(&path).await["destination"].clone();
    assert_eq!((&bank["status"], &bank["last4"]), (&json!("verified"), &json!("6789")));

    world.advance(HOUR - 1).await;
    assert_eq!(platform.again(&payout).await["status"], "pending");
    world.advance(1).await;
    assert_eq!(platform.again(&payout).await["status"], "in_transit");
    world.advance(MIDNIGHT + 2 * DAY - START - HOUR).await;
    let paid = platform.again(&payout).await;
    assert_eq!(
        (&paid["status"], &paid["trace_id"]["status"]),
        (&json!("paid"), &json!("supported"))
    );
    let story = ["payout.created", "payout.updated", "payout.updated", "payout.paid"];
    let events = platform.events().await;
    assert!(has_in_order(&events, &story), "{events:?}");
    let listed = platform.get("/v1/payouts?status=paid").await;
    assert_eq!(listed["data"], json!([paid]));
    assert_eq!(
        platform
            .get(&format!("/v1/payouts?arrival_date[gt]={}", MIDNIGHT + 2 * DAY))
            .await["data"],
        json!([])
    );
    let path = format!("/v1/balance_transactions?payout={}", text(&payout["id"]));
    assert_eq!(platform.call(Method::GET, &path, &[]).await.status, 400, "by wish");
}

#[tokio::test]
async fn what_is_not_available_cannot_be_paid_out() {
    let world = start().await;
    let platform = platform(&world).await;
    platform.earn("visa").await;
    for (amount, code) in [
        ("100", json!("balance_insufficient")),
        ("0", json!("parameter_invalid_integer")),
    ] {
        let answer = platform
            .call(Method::POST, "/v1/payouts", &[("amount", amount), ("currency", "usd")])
            .await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (400, &code));
    }
    world.advance(2 * DAY).await;
    platform.pay_out("9680").await;
    let instant = [("amount", "1"), ("currency", "usd"), ("method", "instant")];
    let answer = platform.call(Method::POST, "/v1/payouts", &instant).await;
    assert_eq!(answer.json()["error"]["code"], "sandbox_unsupported_parameter");

    let idle = text(&world.post("/v1/accounts", &[("country", "US")]).await["id"]);
    let idle = Account {
        world: &world,
        header: idle.clone(),
        id: idle,
    };
    idle.earn("bypassPending").await;
    let form = [("amount", "100"), ("currency", "usd")];
    let answer = idle.call(Method::POST, "/v1/payouts", &form).await;
    assert_eq!(answer.json()["error"]["code"], "payouts_not_allowed");
    let ready = connected(&world).await;
    ready.earn("bypassPending").await;
    let answer = ready.call(Method::POST, "/v1/payouts", &form).await;
    assert_eq!(
        answer.json()["error"]["message"],
        "Sorry, you don't have any external accounts in that currency (usd)."
    );
}

#[tokio::test]
async fn a_pending_payout_is_canceled_and_its_money_is_back() {
    let world = start().await;
    let platform = platform(&world).await;
    platform.earn("bypassPending").await;
    let payout = platform.pay_out("5000").await;
    let cancel = format!("/v1/payouts/{}/cancel", text(&payout["id"]));
    let canceled = platform.post(&cancel, &[]).await;
    assert_eq!(
        (&canceled["status"], platform.available().await),
        (&json!("canceled"), json!(NET))
    );
    let back = text(&canceled["failure_balance_transaction"]);
    let back = platform.get(&format!("/v1/balance_transactions/{back}")).await;
    assert_eq!(
        (&back["type"], &back["amount"], &back["reporting_category"]),
        (&json!("payout_cancel"), &json!(5000), &json!("payout_reversal"))
    );
    assert_eq!(platform.call(Method::POST, &cancel, &[]).await.status, 400);
    assert_eq!(platform.events().await.last().unwrap(), "payout.canceled");
    let payout = platform.pay_out("5000").await;
    world.advance(HOUR).await;
    let cancel = format!("/v1/payouts/{}/cancel", text(&payout["id"]));
    assert_eq!(
        platform.call(Method::POST, &cancel, &[]).await.status,
        400,
        "at the bank"
    );
    let reverse = format!("/v1/payouts/{}/reverse", text(&payout["id"]));
    assert_eq!(
        platform.call(Method::POST, &reverse, &[]).await.status,
        400,
        "of a platform"
    );
}

#[tokio::test]
async fn a_payout_to_a_test_account_fails_as_it_says() {
    let world = start().await;
    let account = connected(&world).await;
    account.schedule(&[("interval", "manual")]).await;
    for (number, code) in [
        ("000111111116", "no_account"),
        ("000111111113", "account_closed"),
        ("000222222227", "insufficient_funds"),
        ("000333333335", "debit_not_authorized"),
        ("000444444440", "invalid_currency"),
    ] {
        account.earn("bypassPending").await;
        let bank = [
            ("bank_account[country]", "US"),
            ("bank_account[routing_number]", "110000000"),
            ("bank_account[account_number]", number),
            ("default_for_currency", "true"),
        ];
        let bank = account.add_bank(&bank).await;
        let before = account.available().await;
        let payout = account.pay_out("100").await;
        assert_eq!(payout["destination"], bank["id"]);
        world.advance(2 * DAY).await;
        let failed = account.again(&payout).await;
        assert_eq!(
            (&failed["status"], &failed["failure_code"]),
            (&json!("failed"), &json!(code))
        );
        assert!(!text(&failed["failure_message"]).is_empty());
        let back = text(&failed["failure_balance_transaction"]);
        let back = account.get(&format!("/v1/balance_transactions/{back}")).await;
        assert_eq!(
            (&back["type"], &back["amount"]),
            (&json!("payout_failure"), &json!(100))
        );
        assert_eq!(account.available().await, before);
        let answer = account
            .call(Method::POST, "/v1/payouts", &[("amount", "1"), ("currency", "usd")])
            .await;
        assert_eq!(answer.json()["error"]["code"], "bank_account_unusable");
    }
    let events = account.events().await;
    assert!(
        has_in_order(&events, &["payout.failed", "account.external_account.updated"]),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_schedule_pays_out_what_has_become_available() {
    let world = start().await;
    let platform = platform(&world).await;
    let settings = platform.get("/v1/balance_settings").await;
    assert_eq!(
        settings["payments"]["payouts"]["schedule"],
        json!({ "interval": "manual" })
    );
    platform.earn("visa").await;
    world.advance(9 * DAY).await;
    assert_eq!(platform.available().await, NET, "until it is asked for");

    platform.schedule(&[("interval", "daily")]).await;
    platform.earn("visa").await;
    world.advance(DAY).await;
    let listed = platform.get("/v1/payouts").await;
    let payout = listed["data"][0].clone();
    assert_eq!(
        (&payout["amount"], &payout["automatic"], &payout["created"]),
        (&json!(NET), &json!(true), &json!(MIDNIGHT + 10 * DAY))
    );
    assert_eq!(
        (listed["data"].as_array().unwrap().len(), platform.available().await),
        (1, json!(0))
    );
    let made_of = |payout: &Value| format!("/v1/balance_transactions?payout={}", text(&payout["id"]));
    let transactions = platform.get(&made_of(&payout)).await;
    let types: Vec<&Value> = transactions["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["type"])
        .collect();
    assert_eq!(types, ["payout", "charge"]);
    let cancel = format!("/v1/payouts/{}/cancel", text(&payout["id"]));
    assert_eq!(
        platform.call(Method::POST, &cancel, &[]).await.status,
        400,
        "a schedule's"
    );

    world.advance(7 * DAY).await;
    let listed = platform.get("/v1/payouts").await;
    let amounts: Vec<&Value> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["amount"])
        .collect();
    assert_eq!(amounts, [NET, NET]);
    assert_eq!(listed["data"][0]["status"], "paid");
    let story = [
        "balance_settings.updated",
        "payout.created",
        "payout.updated",
        "payout.reconciliation_completed",
        "balance.available",
        "payout.paid",
    ];
    let events = platform.events().await;
    assert!(has_in_order(&events, &story), "{events:?}");

    // The 2nd of February is a Tuesday.
    for (form, day) in [
        (&[("interval", "weekly"), ("weekly_payout_days][", "tuesday")][..], 18),
        (&[("interval", "monthly"), ("monthly_payout_days][", "31")], 75),
    ] {
        platform.schedule(form).await;
        platform.earn("bypassPending").await;
        world.advance(30 * DAY).await;
        let newest = platform.get("/v1/payouts?limit=1").await["data"][0].clone();
        assert_eq!(newest["created"], MIDNIGHT + day * DAY, "{form:?}");
    }
    let wrong = [
        ("payments[payouts][schedule][interval]", "daily"),
        ("payments[payouts][schedule][weekly_payout_days][]", "monday"),
    ];
    assert_eq!(
        platform.call(Method::POST, "/v1/balance_settings", &wrong).await.status,
        400
    );
    let none = [("payments[payouts][schedule][interval]", "weekly")];
    assert_eq!(
        platform.call(Method::POST, "/v1/balance_settings", &none).await.status,
        400
    );
}

#[tokio::test]
async fn money_that_comes_at_the_moment_of_a_payout_does_not_put_it_off() {
    let world = start().await;
    let platform = platform(&world).await;
    platform.schedule(&[("interval", "daily")]).await;
    world.advance(MIDNIGHT + DAY - START).await;
    platform.earn("visa").await;
    world.advance(DAY + HOUR).await;
    platform.earn("bypassPending").await;
    world.advance(DAY - HOUR).await;
    let listed = platform.get("/v1/payouts").await;
    let payout = &listed["data"][0];
    assert_eq!(
        (&payout["created"], &payout["amount"]),
        (&json!(MIDNIGHT + 3 * DAY), &json!(2 * NET))
    );
}

#[tokio::test]
async fn a_connected_account_is_paid_out_daily_once_it_has_a_bank_account() {
    let world = start().await;
    let account = connected(&world).await;
    account.earn("visa").await;
    world.advance(5 * DAY).await;
    assert_eq!(account.get("/v1/payouts").await["data"], json!([]));
    let bank = account
        .add_bank(&[("external_account", "btok_us_verified_noAccount")])
        .await;
    assert_eq!(
        (&bank["default_for_currency"], &bank["account"]),
        (&json!(true), &json!(account.id))
    );
    world.advance(4 * DAY).await;
    let listed = account.get("/v1/payouts").await;
    assert_eq!(
        (&listed["data"][0]["status"], listed["data"].as_array().unwrap().len()),
        (&json!("failed"), 1)
    );
    assert_eq!(account.available().await, NET);

    let replaced = [
        ("external_account", "btok_us_verified"),
        ("settings[payouts][schedule][interval]", "weekly"),
        ("settings[payouts][schedule][weekly_anchor]", "monday"),
        ("settings[payouts][schedule][delay_days]", "7"),
    ];
    let path = format!("/v1/accounts/{}", account.id);
    let changed = world.post(&path, &replaced).await;
    assert_eq!(
        changed["settings"]["payouts"]["schedule"],
        json!({ "delay_days": 7, "interval": "weekly", "weekly_anchor": "monday", "weekly_payout_days": ["monday"] })
    );
    assert_eq!(changed["external_accounts"]["data"].as_array().unwrap().len(), 1);
    account.earn("visa").await;
    world.advance(7 * DAY).await;
    let listed = account.get("/v1/payouts").await;
    let paid = &listed["data"][0];
    assert_eq!(
        (&paid["amount"], &paid["created"]),
        (&json!(NET), &json!(MIDNIGHT + 10 * DAY))
    );
    let waiting = account.get("/v1/balance_transactions?type=charge").await["data"][0].clone();
    assert_eq!(
        waiting["available_on"].as_i64(),
        waiting["created"].as_i64().map(|at| at + 7 * DAY)
    );

    let reverse = format!("/v1/payouts/{}/reverse", text(&paid["id"]));
    let reversal = account.post(&reverse, &[("metadata[why]", "wrong")]).await;
    assert_eq!(
        (&reversal["amount"], &reversal["original_payout"]),
        (&json!(-NET), &paid["id"])
    );
    assert_eq!(account.again(paid).await["reversed_by"], reversal["id"]);
    assert_eq!(account.call(Method::POST, &reverse, &[]).await.status, 400);
    let pending = account.get("/v1/balance").await["pending"][0]["amount"].clone();
    assert_eq!(pending, NET);
}

#[tokio::test]
async fn bank_accounts_are_added_changed_and_removed() {
    let world = start().await;
    let account = connected(&world).await;
    let path = format!("/v1/accounts/{}/external_accounts", account.id);
    let first = account.add_bank(&[("external_account", "btok_us_verified")]).await;
    assert_eq!(
        (&first["routing_number"], &first["status"]),
        (&json!("110000000"), &json!("new"))
    );
    let euro = [
        ("external_account[object]", "bank_account"),
        ("external_account[country]", "DE"),
        ("external_account[account_number]", "DE89370400440532013000"),
        ("external_account[account_holder_name]", "Jenny"),
    ];
    let euro = account.add_bank(&euro).await;
    assert_eq!((&euro["currency"], &euro["last4"]), (&json!("eur"), &json!("3000")));
    let second = account
        .add_bank(&[("external_account", "btok_us_verified_accountClosed")])
        .await;
    assert_eq!(second["default_for_currency"], false);
    let delete = async |one: &Value| world.call("DELETE", &format!("{path}/{}", text(&one["id"])), &[]).await;
    assert_eq!(delete(&first).await.status, 400, "the default of the default currency");
    let second = format!("{path}/{}", text(&second["id"]));
    let changed = world
        .post(&second, &[("default_for_currency", "true"), ("metadata[a]", "b")])
        .await;
    assert_eq!(
        (&changed["default_for_currency"], &changed["metadata"]["a"]),
        (&json!(true), &json!("b"))
    );
    assert_eq!(delete(&first).await.json()["deleted"], true);
    assert_eq!(delete(&first).await.status, 404);
    let shown = world.get(&format!("/v1/accounts/{}", account.id)).await["external_accounts"].clone();
    assert_eq!(shown["data"], world.get(&path).await["data"]);
    assert_eq!(shown["data"].as_array().unwrap().len(), 2);
    for (form, code) in [
        (&[("external_account", "btok_unknown")][..], "resource_missing"),
        (
            &[
                ("bank_account[country]", "US"),
                ("bank_account[account_number]", "000123456789"),
            ],
            "parameter_missing",
        ),
        (
            &[("bank_account[country]", "DE"), ("bank_account[account_number]", "1")],
            "account_number_invalid",
        ),
        (&[], "parameter_missing"),
    ] {
        let answer = world.call("POST", &path, form).await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (400, &json!(code)));
    }
    let other = connected(&world).await;
    assert_eq!(other.call(Method::GET, &path, &[]).await.status, 404);
    let events = account.events().await;
    let story = [
        "external_account.created",
        "external_account.updated",
        "external_account.deleted",
    ]
    .map(|end| format!("account.{end}"));
    assert!(has_in_order(&events, &story.each_ref().map(|one| &**one)), "{events:?}");
}
