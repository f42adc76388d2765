//! The billing service's process.

fn main() -> std::process::ExitCode {
    counterfoil_chassis::main::<counterfoil_billing::Billing>()
}
