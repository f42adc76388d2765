//! `grpc.health.v1`, for the process as a whole (`""`) and each of its services.
//! Source: <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>.
//!
//! tonic-health's own server keeps a watcher's stream open for ever, and a graceful end waits for open streams; here a
//! stream ends after it has said NOT_SERVING.

use std::pin::Pin;

use futures::{Stream, StreamExt};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::status;

/// Answers for `services` and the process. They serve while the sender of `serving` says so.
#[derive(Debug)]
pub(crate) struct HealthOf {
    pub(crate) services: &'static [&'static str],
    pub(crate) serving: watch::Receiver<bool>,
}

impl HealthOf {
    fn knows(&self, service: &str) -> bool {
        service.is_empty() || self.services.contains(&service)
    }
}

#[tonic::async_trait]
impl Health for HealthOf {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let service = &request.get_ref().service;
        if !self.knows(service) {
            return Err(status::not_found("service", service));
        }
        Ok(Response::new(answer(*self.serving.borrow())))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let known = self.knows(&request.get_ref().service);
        let states = WatchStream::new(self.serving.clone());
        let answers = states.map(move |serving| {
            Ok(if known {
                answer(serving)
            } else {
                response(ServingStatus::ServiceUnknown)
            })
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

fn answer(serving: bool) -> HealthCheckResponse {
    response(if serving {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    })
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
