//! The webhook gateway's process.

use std::process::ExitCode;

fn main() -> ExitCode {
    counterfoil_chassis::main::<counterfoil_webhook_gateway::Gateway>()
}
