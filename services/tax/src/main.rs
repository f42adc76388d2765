//! The tax service's process.

fn main() -> std::process::ExitCode {
    counterfoil_chassis::main::<counterfoil_tax::Tax>()
}
