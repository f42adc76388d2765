//! What a test has at hand.

use counterfoil_billing::projection::BillingProjection;
use counterfoil_billing::{Billing, Config};
use counterfoil_chassis::Service;
use counterfoil_chassis::client::Channel;
use counterfoil_events::Event;
use counterfoil_proto::billing::v1 as pb;
use counterfoil_proto::billing::v1::checkout_service_client::CheckoutServiceClient;
use counterfoil_proto::billing::v1::entitlement_service_client::EntitlementServiceClient;
use counterfoil_proto::billing::v1::subscription_service_client::SubscriptionServiceClient;
use counterfoil_store::Db;
use counterfoil_test_support::{Stripe, TestDb, feed, no_gateway, serve};
use diesel_async::RunQueryDsl;
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A schema and a sandbox of the test's own, and the service between them.
pub(crate) struct World {
    pub(crate) stripe: Stripe,
    pub(crate) price_id: String,
    pub(crate) checkout: CheckoutServiceClient<Channel>,
    pub(crate) subscriptions: SubscriptionServiceClient<Channel>,
    pub(crate) entitlements: EntitlementServiceClient<Channel>,
    db: TestDb,
    _end: DropGuard,
}

pub(crate) const KEY: &str = "6e9a2b1c-4d5f-4a3b-8c7d-0e1f2a3b4c5d";
pub(crate) const OTHER_KEY: &str = "7f0b3c2d-5e6f-4b4c-9d8e-1f2a3b4c5d6e";

impl World {
    pub(crate) async fn new() -> World {
        let stripe = Stripe::start().await;
        let db = TestDb::new(Billing::migrations()).await;
        let shutdown = CancellationToken::new();
        let config = Config {
            stripe: stripe.config(),
            events: no_gateway(),
            customer_url: "http://127.0.0.1:9".to_owned(),
            claims: Default::default(),
        };
        let channel = serve::<Billing>(&db, config, &shutdown).await;
        let product = stripe.call("POST", "/v1/products", &[("name", "Pro")]).await;
        let price = [
            ("product", product["id"].as_str().unwrap()),
            ("unit_amount", "2900"),
            ("currency", "usd"),
            ("recurring[interval]", "month"),
            ("lookup_key", "pro_monthly"),
            ("metadata[features]", "reports, exports"),
        ];
        let price = stripe.call("POST", "/v1/prices", &price).await;
        World {
            price_id: text(&price["id"]),
            checkout: CheckoutServiceClient::new(channel.clone()),
            subscriptions: SubscriptionServiceClient::new(channel.clone()),
            entitlements: EntitlementServiceClient::new(channel),
            stripe,
            db,
            _end: shutdown.drop_guard(),
        }
    }

    pub(crate) fn db(&self) -> Db {
        self.db.db()
    }

    /// A Stripe customer for the user, whose event billing has seen.
    pub(crate) async fn customer(&self, user_id: &str) -> String {
        let customer = self
            .stripe
            .call("POST", "/v1/customers", &[("metadata[user_id]", user_id)])
            .await;
        self.feed_all().await;
        text(&customer["id"])
    }

    /// A paid subscription of the user, whose events billing has seen.
    pub(crate) async fn subscription(&self, user_id: &str) -> String {
        self.customer(user_id).await;
        let session = self
            .checkout
            .clone()
            .create_checkout_session(self.checkout_of(user_id))
            .await
            .unwrap();
        let session = session.into_inner().checkout_session.unwrap();
        let card = [
            ("card_number", "4242424242424242"),
            ("card_expiry", "12/34"),
            ("card_cvc", "123"),
            ("email", "a@b.c"),
        ];
        assert_eq!(self.stripe.submit(&session.url, &card).await, 303);
        self.feed_all().await;
        let paid = self
            .stripe
            .call(
                "GET",
                &format!("/v1/checkout/sessions/{}", session.checkout_session_id),
                &[],
            )
            .await;
        text(&paid["subscription"])
    }

    pub(crate) fn checkout_of(&self, user_id: &str) -> pb::CreateCheckoutSessionRequest {
        pb::CreateCheckoutSessionRequest {
            idempotency_key: KEY.to_owned(),
            user_id: user_id.to_owned(),
            price_id: self.price_id.clone(),
            quantity: 1,
            success_url: "https://shop.example/{CHECKOUT_SESSION_ID}".to_owned(),
            cancel_url: String::new(),
        }
    }

    pub(crate) async fn access(&self, user_id: &str, feature: &str) -> pb::Access {
        let request = pb::CheckAccessRequest {
            user_id: user_id.to_owned(),
            feature: feature.to_owned(),
        };
        let answer = self.entitlements.clone().check_access(request).await.unwrap();
        answer.into_inner().access.unwrap()
    }

    pub(crate) async fn get(&self, subscription_id: &str) -> pb::Subscription {
        let request = pb::GetSubscriptionRequest {
            subscription_id: subscription_id.to_owned(),
        };
        let answer = self.subscriptions.clone().get_subscription(request).await.unwrap();
        answer.into_inner().subscription.unwrap()
    }

    /// Hands one event over; says whether it wrote.
    pub(crate) async fn feed(&self, event: &Event) -> bool {
        feed(
            &self.db.db(),
            &BillingProjection {
                stripe: self.stripe.client(),
            },
            event,
        )
        .await
    }

    /// Hands over all events that Stripe has made and billing listens to, in their order.
    pub(crate) async fn feed_all(&self) {
        for event in self.events().await {
            self.feed(&event).await;
        }
    }

    /// Empties the projections.
    pub(crate) async fn forget(&self) {
        let mut conn = self.db.db().conn().await.unwrap();
        for table in ["subscription", "customer_user"] {
            diesel::sql_query(format!("delete from {table}"))
                .execute(&mut conn)
                .await
                .unwrap();
        }
    }

    /// All rows of the projections, stamps and all.
    pub(crate) async fn rows(&self) -> Vec<String> {
        #[derive(diesel::QueryableByName)]
        struct Row {
            #[diesel(sql_type = diesel::sql_types::Text)]
            row: String,
        }
        let sql =
            "select s::text as row from subscription s union all select c::text from customer_user c order by row";
        let rows: Vec<Row> = diesel::sql_query(sql)
            .load(&mut self.db().conn().await.unwrap())
            .await
            .unwrap();
        rows.into_iter().map(|row| row.row).collect()
    }

    /// All events that Stripe has made and billing listens to, oldest first.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let types = counterfoil_billing::projection::EVENT_TYPES;
        let mut events = self.stripe.events().await;
        events.retain(|event| types.contains(&event.event_type.as_str()));
        events
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
