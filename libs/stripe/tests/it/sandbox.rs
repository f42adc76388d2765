//! The sandbox's answers fit async-stripe's types. Where one does not, the error here names the call.

use counterfoil_stripe::{Client, Config, Error, Reply, RequestBuilder, StripeMethod, StripeRequest, objects};
use counterfoil_test_support::{SANDBOX_TIME, Sandbox, sandbox};
use counterfoil_types::{AccountId, Mode};

/// Any request, with any type of answer.
struct Call<T> {
    method: StripeMethod,
    path: String,
    form: String,
    output: std::marker::PhantomData<fn() -> T>,
}

impl<T> StripeRequest for Call<T> {
    type Output = T;

    fn build(&self) -> RequestBuilder {
        let mut request = RequestBuilder::new(self.method, self.path.as_str());
        let form = (!self.form.is_empty()).then(|| self.form.clone());
        match self.method {
            StripeMethod::Get => request.query = form,
            StripeMethod::Post | StripeMethod::Delete => request.body = form,
        }
        request
    }
}

struct Stripe {
    sandbox: Sandbox,
    client: Client,
}

impl Stripe {
    async fn start() -> Stripe {
        let sandbox = sandbox().await;
        let client = Client::new(&Config {
            secret_key: sandbox.secret_key().to_owned().into(),
            mode: Mode::Test,
            base_url: sandbox.url().to_owned(),
            timeout_ms: 5_000,
            retries: 0,
            backoff_ms: 1,
        })
        .unwrap();
        Stripe { sandbox, client }
    }

    async fn call<T: miniserde::Deserialize>(&self, method: StripeMethod, path: &str, form: &str) -> Reply<T> {
        self.as_account(method, path, form, None)
            .await
            .unwrap_or_else(|error| panic!("{method:?} {path} {form}: {error}"))
    }

    async fn as_account<T: miniserde::Deserialize>(
        &self,
        method: StripeMethod,
        path: &str,
        form: &str,
        account: Option<&AccountId>,
    ) -> Result<Reply<T>, Error> {
        let call = Call {
            method,
            path: path.to_owned(),
            form: form.to_owned(),
            output: std::marker::PhantomData,
        };
        match method {
            StripeMethod::Get => self.client.read(&call, account).await,
            StripeMethod::Post | StripeMethod::Delete => self.client.harmless(&call, account).await,
        }
    }

    async fn get<T: miniserde::Deserialize>(&self, path: &str, form: &str) -> T {
        self.call(StripeMethod::Get, path, form).await.object().unwrap()
    }

    async fn post<T: miniserde::Deserialize>(&self, path: &str, form: &str) -> T {
        self.call(StripeMethod::Post, path, form).await.object().unwrap()
    }

    async fn customer(&self) -> objects::Customer {
        self.post("/customers", "email=ada%40example.com&metadata[user_id]=user_1")
            .await
    }

    async fn price(&self) -> objects::Price {
        let product: objects::Product = self.post("/products", "name=Pro").await;
        let id = product.id;
        self.post(
            "/prices",
            &format!("product={id}&currency=usd&unit_amount=1500&recurring[interval]=month"),
        )
        .await
    }

    async fn session(&self, price: &str, customer: &str) -> objects::CheckoutSession {
        let form = format!(
            "mode=subscription&customer={customer}&line_items[0][price]={price}&line_items[0][quantity]=1\
             &success_url=https%3A%2F%2Fexample.com%2Fdone&cancel_url=https%3A%2F%2Fexample.com%2Fno\
             &client_reference_id=user_1&subscription_data[metadata][user_id]=user_1"
        );
        self.post("/checkout/sessions", &form).await
    }

    async fn pay(&self, session: &objects::CheckoutSession) {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let card = [
            ("card_number", "4242424242424242"),
            ("card_expiry", "12/34"),
            ("card_cvc", "123"),
            ("name", "Ada Lovelace"),
            ("email", "ada@example.com"),
        ];
        let paid = http
            .post(session.url.as_ref().unwrap())
            .form(&card)
            .send()
            .await
            .unwrap();
        assert!(paid.status().is_redirection(), "{}", paid.status());
    }
}

#[tokio::test]
async fn a_customer_is_created_read_changed_listed_and_deleted() {
    let stripe = Stripe::start().await;
    let created = stripe
        .call::<objects::Customer>(StripeMethod::Post, "/customers", "email=a%40example.com")
        .await;
    assert_eq!(
        created.stamp.range().1.timestamp(),
        SANDBOX_TIME + 1,
        "stamps are of the sandbox's clock"
    );
    assert!(created.stamp.range().0.timestamp() < SANDBOX_TIME);
    assert!(created.stripe_request_id.as_ref().unwrap().starts_with("req_"));
    let id = created.object().unwrap().id;
    let path = format!("/customers/{}", id);
    let _: objects::Customer = stripe.get(&path, "").await;
    let _: objects::Customer = stripe.post(&path, "name=Ada&metadata[a]=b").await;
    let list: counterfoil_stripe::List<objects::Customer> = stripe.get("/customers", "limit=3").await;
    assert_eq!(list.data.len(), 1);
    let deleted: objects::DeletedCustomer = stripe.call(StripeMethod::Delete, &path, "").await.object().unwrap();
    assert_eq!(deleted.id, id);
}

#[tokio::test]
async fn a_product_and_its_price_are_read() {
    let stripe = Stripe::start().await;
    let price = stripe.price().await;
    assert_eq!(price.unit_amount, Some(1500));
    let _: objects::Price = stripe.get(&format!("/prices/{}", price.id), "expand[0]=product").await;
    let list: counterfoil_stripe::List<objects::Price> = stripe.get("/prices", "").await;
    assert_eq!(list.data.len(), 1);
    let products: counterfoil_stripe::List<objects::Product> = stripe.get("/products", "").await;
    assert_eq!(products.data.len(), 1);
}

#[tokio::test]
async fn a_paid_checkout_leads_to_a_subscription_with_its_invoice_and_both_are_read_whole() {
    let stripe = Stripe::start().await;
    let (price, customer) = (stripe.price().await, stripe.customer().await);
    let session = stripe.session(price.id.as_str(), customer.id.as_str()).await;
    stripe.pay(&session).await;
    let path = format!("/checkout/sessions/{}", session.id);
    let session: objects::CheckoutSession = stripe.get(&path, "").await;
    let subscription = session.subscription.unwrap();
    let _: objects::CheckoutSession = stripe
        .get(
            &path,
            "expand[0]=subscription&expand[1]=customer&expand[2]=invoice&expand[3]=line_items",
        )
        .await;
    let path = format!("/subscriptions/{}", subscription.id());
    let plain: objects::Subscription = stripe.get(&path, "").await;
    assert_eq!(plain.status.to_string(), "active");
    assert_eq!(plain.items.data.len(), 1);
    let expanded: objects::Subscription = stripe.get(&path, "expand[0]=latest_invoice&expand[1]=customer").await;
    let invoice = expanded.latest_invoice.unwrap();
    let invoice = invoice.as_object().expect("an expanded invoice");
    assert_eq!(invoice.amount_paid, 1500);
    let _: objects::Subscription = stripe.get(&path, "expand[0]=latest_invoice.payments").await;
    let path_of_invoice = format!("/invoices/{}", invoice.id.as_ref().unwrap());
    let _: objects::Invoice = stripe.get(&path_of_invoice, "").await;
    let list: counterfoil_stripe::List<objects::Invoice> =
        stripe.get("/invoices", &format!("subscription={}", plain.id)).await;
    assert_eq!(list.data.len(), 1);
    let list: counterfoil_stripe::List<objects::Subscription> = stripe
        .get("/subscriptions", &format!("customer={}&status=all", customer.id))
        .await;
    assert_eq!(list.data.len(), 1);
    let ending: objects::Subscription = stripe.post(&path, "cancel_at_period_end=true").await;
    assert!(ending.cancel_at_period_end);
    let ended: objects::Subscription = stripe.call(StripeMethod::Delete, &path, "").await.object().unwrap();
    assert_eq!(ended.status.to_string(), "canceled");
}

#[tokio::test]
async fn an_account_and_its_link_are_made() {
    let stripe = Stripe::start().await;
    let form = "controller[fees][payer]=application&controller[losses][payments]=application\
         &controller[stripe_dashboard][type]=express&country=US&email=seller%40example.com\
         &capabilities[transfers][requested]=true&capabilities[card_payments][requested]=true";
    let account: objects::Account = stripe.post("/accounts", form).await;
    let id = &account.id;
    let _: objects::Account = stripe.get(&format!("/accounts/{id}"), "").await;
    let form = format!(
        "account={id}&type=account_onboarding&refresh_url=https%3A%2F%2Fexample.com%2Fr\
         &return_url=https%3A%2F%2Fexample.com%2Fd"
    );
    let link: counterfoil_stripe::account_link::AccountLink = stripe.post("/account_links", &form).await;
    assert!(link.url.starts_with("http"));
    let account = AccountId::parse(id.as_str()).unwrap();
    let theirs: Reply<objects::Customer> = stripe
        .as_account(
            StripeMethod::Post,
            "/customers",
            "email=buyer%40example.com",
            Some(&account),
        )
        .await
        .unwrap();
    let path = format!("/customers/{}", theirs.object().unwrap().id);
    let ours = stripe
        .as_account::<objects::Customer>(StripeMethod::Get, &path, "", None)
        .await;
    assert!(matches!(ours, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn a_tax_is_calculated() {
    let stripe = Stripe::start().await;
    let form = "currency=usd&line_items[0][amount]=1000&line_items[0][reference]=L1\
         &customer_details[address][line1]=920%205th%20Ave&customer_details[address][city]=Seattle\
         &customer_details[address][state]=WA&customer_details[address][postal_code]=98104\
         &customer_details[address][country]=US&customer_details[address_source]=shipping&expand[0]=line_items";
    let calculation: counterfoil_stripe::tax_calculation::TaxCalculation = stripe.post("/tax/calculations", form).await;
    assert!(calculation.amount_total >= 1000);
    assert!(calculation.line_items.is_some());
}

#[tokio::test]
async fn refusals_are_read() {
    let stripe = Stripe::start().await;
    for (method, path, form, code) in [
        (StripeMethod::Get, "/customers/cus_none", "", "resource_missing"),
        (StripeMethod::Post, "/customers", "colour=red", "parameter_unknown"),
        (StripeMethod::Post, "/prices", "currency=usd", "parameter_missing"),
    ] {
        let error = stripe
            .as_account::<objects::Customer>(method, path, form, None)
            .await
            .unwrap_err();
        let (Error::Refused(refusal) | Error::NotFound(refusal)) = error else {
            panic!("{path}: {error}")
        };
        assert_eq!(refusal.code.as_deref(), Some(code), "{path}");
    }
    stripe.sandbox.stop().await;
}
