//! `counterfoil access`.

use clap::Subcommand;
use counterfoil_proto::billing::v1 as pb;
use serde_json::json;

use crate::addresses::Service;
use crate::failure::Failure;
use crate::output::{Cell, Format, Look, Output, word};
use crate::services::Services;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Tells whether a user may use a feature now, and by which rule
    #[command(after_help = "Example: counterfoil access check --user ada --feature reports")]
    Check {
        /// The company's own id of the user
        #[arg(long, value_name = "ID")]
        user: String,
        /// The feature, as the prices' metadata names it
        #[arg(long, value_name = "FEATURE")]
        feature: String,
    },
}

pub(crate) async fn run(command: Command, services: &Services, output: &mut Output) -> Result<(), Failure> {
    let Command::Check { user, feature } = command;
    let request = services.request(pb::CheckAccessRequest {
        user_id: user.clone(),
        feature: feature.clone(),
    });
    let answer = services.entitlements()?.check_access(request).await;
    let access = services.answer(Service::Billing, answer)?.access.unwrap_or_default();
    let reason = word(access.reason().as_str_name(), "ACCESS_REASON_");
    match output.format {
        Format::Json => output.json(&json!({
            "user_id": user,
            "feature": feature,
            "allowed": access.allowed,
            "reason": reason,
            "subscription_id": access.subscription_id,
            "plan": access.plan,
        }))?,
        Format::Table => {
            let allowed = match access.allowed {
                true => Cell::new("yes", Look::Good),
                false => Cell::new("no", Look::Bad),
            };
            output.pairs(vec![
                ("user", user.into()),
                ("feature", feature.into()),
                ("allowed", allowed),
                ("reason", reason.replace('_', " ").into()),
                ("subscription", access.subscription_id.into()),
                ("plan", access.plan.into()),
            ])?;
        }
    }
    Ok(())
}
