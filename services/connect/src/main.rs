//! The connect service's process.

fn main() -> std::process::ExitCode {
    counterfoil_chassis::main::<counterfoil_connect::Connect>()
}
