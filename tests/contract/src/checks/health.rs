//! Health: every service is known by its name, and the process by none; nobody else is.

use prost::Message;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::ensure;
use crate::target::Target;
use crate::wire::framed;

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const SERVING: i32 = 1;
const SERVICE_UNKNOWN: i32 = 3;

pub(super) async fn check(target: &Target) -> Result<(), String> {
    for (service, wire) in &target.services {
        for name in ["", service] {
            let request = HealthCheckRequest {
                service: name.to_owned(),
            };
            let answer = wire.call(CHECK, &[], framed(&request.encode_to_vec())).await?;
            let answer = HealthCheckResponse::decode(answer.message()?).map_err(|error| error.to_string())?;
            ensure(answer.status == SERVING, || {
                format!("{service} answers a check of {name:?} with {}", answer.status)
            })?;
            let watched: HealthCheckResponse = wire.first(WATCH, &request).await?;
            ensure(watched.status == SERVING, || {
                format!("{service} answers who watches {name:?} with {}", watched.status)
            })?;
        }
        let nobody = HealthCheckRequest {
            service: "counterfoil.nobody.v1.NobodyService".to_owned(),
        };
        let answer = wire.call(CHECK, &[], framed(&nobody.encode_to_vec())).await?;
        let (code, _) = answer.told()?;
        ensure(code == Code::NotFound, || {
            format!("{service} answers a check of a service it does not have with {code:?}")
        })?;
        let watched: HealthCheckResponse = wire.first(WATCH, &nobody).await?;
        ensure(watched.status == SERVICE_UNKNOWN, || {
            format!(
                "{service} answers who watches a service it does not have with {}",
                watched.status
            )
        })?;
    }
    Ok(())
}
