//! `make demo`, as a person runs it.

use std::path::Path;
use std::process::{Output, Stdio};

use counterfoil_dev::story::{Hop, Spoiled};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use counterfoil_journeys::{binary, database_url};

fn demo(home: &Path) -> Command {
    let mut command = Command::new(binary("counterfoil-dev"));
    command.arg("demo").arg("--home").arg(home).env_remove("DATABASE_URL");
    command
}

async fn spoiled(hop: &str, fails_at: Hop, reason: &str) {
    let home = tempfile::tempdir().unwrap();
    let mut command = demo(home.path());
    let Output { status, stdout, .. } = command
        .args(["--break", hop])
        .env("DATABASE_URL", database_url())
        .output()
        .await
        .unwrap();
    let stdout = String::from_utf8_lossy(&stdout);
    assert!(!status.success(), "nobody noticed {hop}:\n{stdout}");
    let failed = stdout
        .lines()
        .find(|line| line.starts_with("no "))
        .unwrap_or_else(|| panic!("no hop failed:\n{stdout}"));
    assert!(
        failed.contains(fails_at.name()),
        "{hop} was noticed at another hop: {failed}"
    );
    assert!(
        failed.contains(reason),
        "{hop} was noticed for another reason: {failed}"
    );
}

macro_rules! spoiled {
    ($($name:ident: $spoiled:ident $hop:literal noticed at $at:ident by $reason:literal,)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                // The name on the command line is the variant's.
                let _ = Spoiled::$spoiled;
                spoiled($hop, Hop::$at, $reason).await;
            }
        )*
    };
}

spoiled! {
    a_second_stripe_customer_is_noticed: Signup "signup" noticed at Signup by "Stripe has these customers",
    a_wrong_tax_is_noticed: Tax "tax" noticed at Tax by "the tax is",
    a_seller_who_never_finishes_is_noticed: Seller "seller" noticed at Seller by "the seller's capabilities",
    a_payment_never_made_is_noticed: Payment "payment" noticed at Payment by "the good card was not accepted",
    a_foreign_signature_is_noticed: Signature "signature" noticed at Webhooks by "access after payment",
    a_dropped_beginning_is_noticed: DropCreate "drop-create" noticed at Webhooks by "access after payment",
    another_plan_is_noticed: Plan "plan" noticed at Access by "basic_monthly",
    a_forgotten_cancellation_is_noticed: SkipCancel "skip-cancel" noticed at Revoke by "the end of access",
    a_clock_that_stands_still_is_noticed: SkipClock "skip-clock" noticed at Revoke by "the end of access",
    a_dropped_end_is_noticed: DropDelete "drop-delete" noticed at Revoke by "the end of access",
    a_skipped_revocation_is_noticed: SkipRevoke "skip-revoke" noticed at Revoke by "access was given again",
    an_event_applied_twice_is_noticed: ApplyTwice "apply-twice" noticed at Books by "of which it took",
    an_event_stored_twice_is_noticed: StoreTwice "store-twice" noticed at Books by "the log has",
    a_lost_event_is_noticed: LoseEvent "lose-event" noticed at Books by "the log has",
}

/// Kills the demo itself, with its PostgreSQL left behind, at several hops; the next one on the same data ends right.
#[tokio::test]
async fn a_demo_that_was_killed_can_be_played_again_on_the_same_data() {
    let home = tempfile::tempdir().unwrap();
    for hop in [Hop::Signup, Hop::Payment, Hop::Cancel] {
        let mut child = demo(home.path())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reached = loop {
            match lines.next_line().await.unwrap() {
                Some(line) if line.starts_with("ok") && line.contains(hop.name()) => break true,
                Some(_) => {}
                None => break false,
            }
        };
        assert!(reached, "the demo ended before {}", hop.name());
        kill(Pid::from_raw(child.id().unwrap().cast_signed()), Signal::SIGKILL).unwrap();
        child.wait().await.unwrap();
    }
    let Output { status, stdout, stderr } = demo(home.path()).output().await.unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{stdout}\n{stderr}");
    assert!(stdout.contains("Every expectation held"), "{stdout}");
    let number = |name: &str| {
        let line = stdout.lines().find(|line| line.trim_start().starts_with(name));
        let line = line.unwrap_or_else(|| panic!("no `{name}` in the summary:\n{stdout}"));
        line.split_whitespace()
            .find_map(|word| word.parse::<i64>().ok())
            .unwrap()
    };
    let (received, duplicates) = (number("webhooks received"), number("duplicates"));
    assert!(duplicates > 0 && received > duplicates, "{stdout}");
    let (stored, delivered, applied) = (number("stored in the log"), number("delivered"), number("applied"));
    assert!(stored > delivered && delivered >= applied && applied > 0, "{stdout}");
    assert!(number("webhook to access") >= 0, "{stdout}");
}
