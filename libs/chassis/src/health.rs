//! `grpc.health.v1`, for the process as a whole (`""`) and each of its services.
//! Source: <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>.
//!
//! tonic-health's own server keeps a watcher's stream open for ever, and a graceful end waits for open streams; here a
//! stream ends after the end has said NOT_SERVING.
//!
//! A process serves while its database does and it has not been asked to end. A call never waits for the database: a task
//! asks it, on a connection of its own, and calls repeat what it last heard.

use std::pin::Pin;
use std::time::Duration;

use counterfoil_store::Pulse;
use futures::{Stream, StreamExt};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::CancellationToken;
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

/// A database counts as gone after so many questions in a row without an answer. One may fail to a connection that was lost.
const FAILURES: u32 = 2;

/// Whether the database is there, by its answers so far. It is not until the first.
#[derive(Debug)]
pub(crate) struct Verdict {
    failures: u32,
}

impl Verdict {
    /// After the first question.
    pub(crate) fn first(answered: bool) -> Verdict {
        let failures = if answered { 0 } else { FAILURES };
        Verdict { failures }
    }

    pub(crate) fn serves(&self) -> bool {
        self.failures < FAILURES
    }

    fn hear(&mut self, answered: bool) {
        self.failures = if answered { 0 } else { self.failures.saturating_add(1) };
    }
}

/// Asks the database every `interval` and says in `serving` whether it is there, until `stop`; then that nothing serves, for
/// good. As `serving` goes with this future, watchers' streams end.
pub(crate) async fn follow(
    mut pulse: Pulse,
    mut verdict: Verdict,
    interval: Duration,
    serving: watch::Sender<bool>,
    stop: CancellationToken,
) {
    let asking = async {
        loop {
            tokio::time::sleep(interval).await;
            let answer = pulse.beat().await;
            let before = verdict.serves();
            verdict.hear(answer.is_ok());
            match answer {
                Err(error) if before && !verdict.serves() => {
                    tracing::warn!(%error, "the database is gone, health says NOT_SERVING");
                }
                Ok(()) if !before => tracing::info!("the database is there, health says SERVING"),
                _ => {}
            }
            if before != verdict.serves() {
                serving.send_replace(verdict.serves());
            }
        }
    };
    stop.run_until_cancelled(asking).await;
    serving.send_replace(false);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_question_without_an_answer_is_forgiven_and_one_answer_heals() {
        let mut verdict = Verdict::first(true);
        let heard = [false, true, false, false, false, true, false].map(|answered| {
            verdict.hear(answered);
            verdict.serves()
        });
        assert_eq!(heard, [true, true, true, false, false, true, true]);
    }

    #[test]
    fn a_database_that_has_not_answered_yet_is_not_there() {
        let mut verdict = Verdict::first(false);
        assert!(!verdict.serves());
        verdict.hear(false);
        assert!(!verdict.serves());
        verdict.hear(true);
        assert!(verdict.serves());
    }
}
