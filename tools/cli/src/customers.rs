//! `counterfoil customers`.

use clap::{Args, Subcommand};
use counterfoil_proto::customer::v1 as pb;
use counterfoil_proto::customer::v1::get_customer_request::Id;
use serde_json::json;

use crate::addresses::Service;
use crate::failure::Failure;
use crate::output::{Format, Output, json_time, time};
use crate::services::Services;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Shows the customer of a user, or the user of a customer
    #[command(after_help = "Example: counterfoil customers get --stripe cus_QXg1o8vcGmoR32")]
    Get(Which),
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// The company's own id of the user
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Stripe's id of the customer, cus_…
    #[arg(long, value_name = "ID")]
    stripe: Option<String>,
}

pub(crate) async fn run(command: Command, services: &Services, output: &mut Output) -> Result<(), Failure> {
    let Command::Get(Which { user, stripe }) = command;
    let id = user.map(Id::UserId).or(stripe.map(Id::StripeCustomerId));
    let request = services.request(pb::GetCustomerRequest { id });
    let answer = services.customers()?.get_customer(request).await;
    let customer = services.answer(Service::Customer, answer)?.customer.unwrap_or_default();
    match output.format {
        Format::Json => output.json(&json!({
            "user_id": customer.user_id,
            "stripe_customer_id": customer.stripe_customer_id,
            "email": customer.email,
            "name": customer.name,
            "deleted": customer.deleted,
            "create_time": json_time(customer.create_time.as_ref()),
        }))?,
        Format::Table => output.pairs(vec![
            ("user", customer.user_id.into()),
            ("customer", customer.stripe_customer_id.into()),
            ("email", customer.email.into()),
            ("name", customer.name.into()),
            ("deleted", if customer.deleted { "yes" } else { "no" }.into()),
            ("created", time(customer.create_time.as_ref()).into()),
        ])?,
    }
    Ok(())
}
