//! The command line and the configuration, without a process.

use std::io::Write;

use counterfoil_chassis::run;
use tempfile::NamedTempFile;

use crate::service::Accounts;

/// What all keys without a default need.
const ENOUGH: [(&str, &str); 3] = [
    ("DATABASE_URL", "postgres://app:hunter2@db.example/counterfoil"),
    ("STRIPE_SECRET_KEY", "sk_test_hunter3"),
    ("COUNTERFOIL_STRIPE__MODE", "test"),
];

struct Ran {
    code: u8,
    out: String,
    err: String,
}

fn ran(arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let arguments = std::iter::once(&"test-accounts")
        .chain(arguments)
        .map(std::ffi::OsString::from);
    let environment = environment
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = run::<Accounts<true>>(arguments, environment, &mut out, &mut err);
    Ran {
        code,
        out: String::from_utf8(out).unwrap(),
        err: String::from_utf8(err).unwrap(),
    }
}

fn checked(environment: &[(&str, &str)]) -> Ran {
    ran(&["config", "check"], environment)
}

fn without<'e>(key: &str, environment: &[(&'e str, &'e str)]) -> Vec<(&'e str, &'e str)> {
    environment.iter().copied().filter(|(name, _)| *name != key).collect()
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn a_missing_key_is_one_line_that_names_it_and_its_variable() {
    let ran_ = checked(&[]);
    assert_eq!((ran_.code, ran_.out.as_str()), (2, ""));
    assert_eq!(
        ran_.err,
        "configuration: missing database.url (environment DATABASE_URL)\n"
    );
    for (variable, line) in [
        (
            "DATABASE_URL",
            "configuration: missing database.url (environment DATABASE_URL)\n",
        ),
        (
            "STRIPE_SECRET_KEY",
            "configuration: missing stripe.secret_key (environment STRIPE_SECRET_KEY)\n",
        ),
        (
            "COUNTERFOIL_STRIPE__MODE",
            "configuration: missing stripe.mode (environment COUNTERFOIL_STRIPE__MODE)\n",
        ),
    ] {
        for command in [&["config", "check"][..], &["serve"], &[]] {
            let ran = ran(command, &without(variable, &ENOUGH));
            assert_eq!(
                (ran.code, ran.out.as_str(), ran.err.as_str()),
                (2, "", line),
                "{command:?}"
            );
        }
    }
    // Migrating needs the database and nothing of the service's own.
    let stripeless = without("STRIPE_SECRET_KEY", &without("COUNTERFOIL_STRIPE__MODE", &ENOUGH));
    let migrate = ran(&["migrate"], &stripeless);
    assert_eq!(
        migrate.err,
        "configuration: missing database.owner_url (environment COUNTERFOIL_DATABASE__OWNER_URL)\n"
    );
    // An empty variable is as good as none.
    let mut empty = without("DATABASE_URL", &ENOUGH);
    empty.extend([("DATABASE_URL", ""), ("OTEL_EXPORTER_OTLP_ENDPOINT", "")]);
    assert_eq!(
        checked(&empty).err,
        "configuration: missing database.url (environment DATABASE_URL)\n"
    );
    // A whole section that is missing is no different.
    let ran = checked(&without(
        "STRIPE_SECRET_KEY",
        &without("COUNTERFOIL_STRIPE__MODE", &ENOUGH),
    ));
    assert_eq!(
        ran.err,
        "configuration: missing stripe.secret_key (environment STRIPE_SECRET_KEY)\n"
    );
}

#[test]
fn a_bad_value_is_one_line_that_names_its_key_and_not_the_value() {
    for (variable, text, line) in [
        (
            "COUNTERFOIL_SERVER__LISTEN",
            "hunter4",
            "server.listen cannot be used: invalid socket address syntax (environment COUNTERFOIL_SERVER__LISTEN)",
        ),
        (
            "COUNTERFOIL_SERVER__DRAIN_MS",
            "soon-hunter4",
            "server.drain_ms must be u64 (environment COUNTERFOIL_SERVER__DRAIN_MS)",
        ),
        (
            "COUNTERFOIL_SERVER__DEFAULT_DEADLINE_MS",
            "70000",
            "server.default_deadline_ms must be more than 0 and at most server.max_deadline_ms (environment \
             COUNTERFOIL_SERVER__DEFAULT_DEADLINE_MS)",
        ),
        (
            "COUNTERFOIL_SERVER__MAX_CALLS",
            "0",
            "server.max_calls must be more than 0 (environment COUNTERFOIL_SERVER__MAX_CALLS)",
        ),
        (
            "COUNTERFOIL_SERVER__MAX_MESSAGE_BYTES",
            "4194305",
            "server.max_message_bytes must be more than 0 and at most 4194304 (environment \
             COUNTERFOIL_SERVER__MAX_MESSAGE_BYTES)",
        ),
        (
            "COUNTERFOIL_SERVER__HEALTH_INTERVAL_MS",
            "0",
            "server.health_interval_ms must be more than 0 (environment COUNTERFOIL_SERVER__HEALTH_INTERVAL_MS)",
        ),
        (
            "COUNTERFOIL_SERVER__CONNECTIONS__MAX_STREAMS",
            "0",
            "server.connections.max_streams must be more than 0 (environment COUNTERFOIL_SERVER__CONNECTIONS__MAX_STREAMS)",
        ),
        (
            "COUNTERFOIL_SERVER__CONNECTIONS__AGE_GRACE_MS",
            "59999",
            "server.connections.age_grace_ms must be at least server.max_deadline_ms, or calls are cut before their \
             deadline (environment COUNTERFOIL_SERVER__CONNECTIONS__AGE_GRACE_MS)",
        ),
        (
            "COUNTERFOIL_SERVER__CONNECTIONS__MAX_HEADER_BYTES",
            "4095",
            "server.connections.max_header_bytes must be at least 4096, or calls with a trace and an identity do not fit \
             (environment COUNTERFOIL_SERVER__CONNECTIONS__MAX_HEADER_BYTES)",
        ),
        (
            "COUNTERFOIL_STRIPE__MODE",
            "hunter4",
            "stripe.mode must be one of live, test (environment COUNTERFOIL_STRIPE__MODE)",
        ),
        (
            "COUNTERFOIL_STRIPE",
            "hunter4",
            "stripe must be struct Stripe (environment COUNTERFOIL_STRIPE)",
        ),
        (
            "COUNTERFOIL_TELEMETRY__FORMAT",
            "xml",
            "telemetry.format must be one of text, json (environment COUNTERFOIL_TELEMETRY__FORMAT)",
        ),
    ] {
        let mut environment = without(variable, &ENOUGH);
        if variable == "COUNTERFOIL_STRIPE" {
            environment = without("STRIPE_SECRET_KEY", &without("COUNTERFOIL_STRIPE__MODE", &environment));
        }
        environment.push((variable, text));
        let ran = checked(&environment);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{variable}");
        assert_eq!(ran.err, format!("configuration: {line}\n"));
    }
}

#[test]
fn the_environment_overrides_the_file_and_our_names_override_the_well_known_ones() {
    let file = file(
        "[server]\nlisten = '127.0.0.1:1'\ndrain_ms = 1\n\
         [database]\nurl = 'postgres://file/db'\nschema = 'other'\n\
         [stripe]\nsecret_key = 'sk_test_file'\nmode = 'test'\n",
    );
    let path = file.path().to_str().unwrap();
    let environment = [
        ("DATABASE_URL", "postgres://known/db"),
        ("COUNTERFOIL_DATABASE__URL", "postgres://ours/db"),
        ("COUNTERFOIL_SERVER__DRAIN_MS", "2"),
    ];
    let ran = ran(&["config", "check", "--config", path], &environment);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    for line in [
        "server.listen = \"127.0.0.1:1\"",
        "server.drain_ms = 2",
        "server.dev_identity = false",
        "database.url = \"postgres://ours/db\"",
        "database.schema = \"other\"",
        "telemetry.log = \"info\"",
        "telemetry.otlp_endpoint is not set",
    ] {
        assert!(
            ran.out.lines().any(|printed| printed == line),
            "{line} not in\n{}",
            ran.out
        );
    }
}

#[test]
fn what_is_in_force_is_printed_without_its_secrets() {
    let mut environment = ENOUGH.to_vec();
    environment.push((
        "COUNTERFOIL_ENDPOINTS__PLATFORM__SECRETS",
        "[{name = \"one\", value = \"hunter5\"}]",
    ));
    environment.push(("COUNTERFOIL_ENDPOINTS__PLATFORM__OTHER", "whsec_hunter6"));
    let ran = checked(&environment);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(!ran.out.contains("hunter"), "{}", ran.out);
    for line in [
        "database.url = \"postgres://app:hidden@db.example/counterfoil\"",
        "database.schema = \"test_accounts\"",
        "stripe.secret_key = (hidden)",
        "stripe.mode = \"test\"",
        "endpoints.platform.other = (hidden)",
        "endpoints.platform.secrets[0].value = (hidden)",
    ] {
        assert!(
            ran.out.lines().any(|printed| printed == line),
            "{line} not in\n{}",
            ran.out
        );
    }
}

#[test]
fn a_text_that_looks_like_a_number_is_still_a_text() {
    let mut environment = ENOUGH.to_vec();
    environment.push(("COUNTERFOIL_STRIPE__SECRET_KEY", "12345"));
    environment.push(("COUNTERFOIL_TELEMETRY__LOG", "true"));
    let ran = checked(&environment);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(!ran.out.contains("12345"), "{}", ran.out);
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_not_repeated() {
    let broken = file("[stripe]\nsecret_key = \"sk_test_hunter2\n");
    let broken = broken.path().to_str().unwrap();
    let ran_ = ran(&["--config", broken], &ENOUGH);
    assert_eq!(ran_.code, 2);
    assert_eq!(ran_.err.lines().count(), 1, "{}", ran_.err);
    assert!(
        ran_.err.starts_with(&format!("configuration: {broken}: ")),
        "{}",
        ran_.err
    );
    assert!(!ran_.err.contains("hunter"), "{}", ran_.err);

    let ran = ran(&["--config", "/nowhere/at/all.toml"], &ENOUGH);
    assert_eq!((ran.code, ran.err.lines().count()), (2, 1));
    assert!(
        ran.err.starts_with("configuration: /nowhere/at/all.toml: "),
        "{}",
        ran.err
    );
}

#[test]
fn a_key_in_the_file_that_nobody_reads_is_refused() {
    for (section, key) in [
        ("[server]\nlisten_on = '127.0.0.1:1'", "server.listen_on"),
        ("[stripe]\ntimout_ms = 3", "stripe.timout_ms"),
        ("[strip]\nmode = 'live'", "strip"),
    ] {
        let file = file(section);
        let path = file.path().to_str().unwrap();
        let mut environment = ENOUGH.to_vec();
        environment.push(("COUNTERFOIL_HTTP__LISTEN", "127.0.0.1:2"));
        let ran = ran(&["config", "check", "--config", path], &environment);
        assert_eq!(ran.err, format!("configuration: {path}: nobody reads {key}\n"));
        assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    }
}

#[test]
fn migrating_needs_the_owners_url() {
    let ran = ran(&["migrate"], &ENOUGH);
    assert_eq!(ran.code, 2);
    assert_eq!(
        ran.err,
        "configuration: missing database.owner_url (environment COUNTERFOIL_DATABASE__OWNER_URL)\n"
    );
}

#[test]
fn an_address_off_loopback_is_a_wrong_configuration() {
    let ran = ran(&["serve", "--listen", "0.0.0.0:0"], &ENOUGH);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    assert!(
        ran.err.starts_with("configuration: server.listen is 0.0.0.0:"),
        "{}",
        ran.err
    );
}

#[test]
fn a_database_that_is_no_url_is_a_wrong_configuration() {
    let mut environment = without("DATABASE_URL", &ENOUGH);
    environment.push(("DATABASE_URL", "hunter2@db.example"));
    let ran = ran(&["serve"], &environment);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    assert!(
        ran.err.starts_with("configuration: database cannot be used: "),
        "{}",
        ran.err
    );
    assert!(!ran.err.contains("hunter2"), "{}", ran.err);
}

#[test]
fn a_process_that_cannot_start_says_why_in_one_line() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let ran = ran(&["serve", "--listen", &address], &ENOUGH);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    let problem = format!("test-accounts: cannot listen on {address} (server.listen): ");
    assert!(ran.err.starts_with(&problem), "{}", ran.err);
}

#[test]
fn a_key_of_the_other_mode_refuses_to_start() {
    let mut environment = without("COUNTERFOIL_STRIPE__MODE", &ENOUGH);
    environment.push(("COUNTERFOIL_STRIPE__MODE", "live"));
    let ran = ran(&["serve"], &environment);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert_eq!(
        ran.err,
        "configuration: stripe.secret_key is a test key in a live deployment (environment STRIPE_SECRET_KEY)\n"
    );
}

#[test]
fn a_wrong_command_line_is_exit_code_2_and_help_is_0() {
    let wrong = ran(&["fly"], &ENOUGH);
    assert_eq!((wrong.code, wrong.out.as_str()), (2, ""));
    let help = ran(&["--help"], &[]);
    assert_eq!((help.code, help.err.as_str()), (0, ""));
    assert!(help.out.contains("migrate"), "{}", help.out);
}

#[test]
fn the_callers_files_and_rows_are_shown_and_a_row_that_cannot_be_meant_is_refused() {
    let file = file(
        "[server]\ntoken_file = '/etc/counterfoil/tokens'\n\
         [server.tls]\ncert = '/tls/pair.pem'\nkey = '/tls/pair.pem'\nclient_ca = '/tls/ca.pem'\n\
         [client.tls]\nca = '/tls/ca.pem'\n\
         [[server.policy]]\nidentity = 'spiffe://company/orders'\nmethods = ['/a.v1.AService/Get*', '/a.v1.AService/List']\n",
    );
    let path = file.path().to_str().unwrap();
    let ran_ = ran(&["config", "check", "--config", path], &ENOUGH);
    assert_eq!((ran_.code, ran_.err.as_str()), (0, ""));
    for line in [
        "server.token_file = \"/etc/counterfoil/tokens\"",
        "server.tls.key = \"/tls/pair.pem\"",
        "client.tls.ca = \"/tls/ca.pem\"",
        "server.policy[0].identity = \"spiffe://company/orders\"",
        "server.policy[0].methods[1] = \"/a.v1.AService/List\"",
    ] {
        assert!(
            ran_.out.lines().any(|printed| printed == line),
            "{line} not in\n{}",
            ran_.out
        );
    }

    for (variable, text, line) in [
        (
            "COUNTERFOIL_SERVER__POLICY",
            "[{identity = \"*\", methods = [\"/*\"]}]",
            "server.policy has a row for everybody, each must name an identity (environment COUNTERFOIL_SERVER__POLICY)",
        ),
        (
            "COUNTERFOIL_SERVER__POLICY",
            "[{identity = \"a\", methods = []}]",
            "server.policy has a row for `a` without methods (environment COUNTERFOIL_SERVER__POLICY)",
        ),
        (
            "COUNTERFOIL_SERVER__DEV_IDENTITY",
            "true",
            "server.dev_identity must be false with server.tls: nobody is `dev` there (environment \
             COUNTERFOIL_SERVER__DEV_IDENTITY)",
        ),
        (
            "COUNTERFOIL_SERVER__RELOAD_MS",
            "0",
            "server.reload_ms must be more than 0 (environment COUNTERFOIL_SERVER__RELOAD_MS)",
        ),
    ] {
        let mut environment = ENOUGH.to_vec();
        environment.push((variable, text));
        let ran = ran(&["config", "check", "--config", path], &environment);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{text}");
        assert_eq!(ran.err, format!("configuration: {line}\n"));
    }
    let ran_ = checked(&[&ENOUGH[..], &[("COUNTERFOIL_SERVER__TLS__CERT", "/tls/pair.pem")]].concat());
    assert_eq!(
        ran_.err,
        "configuration: missing server.tls.key (environment COUNTERFOIL_SERVER__TLS__KEY)\n"
    );
    // What was meant to be the path of a key.
    let key = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n";
    let mut environment = ENOUGH.to_vec();
    environment.extend([
        ("COUNTERFOIL_SERVER__TLS__CERT", "/tls/pair.pem"),
        ("COUNTERFOIL_SERVER__TLS__CLIENT_CA", "/tls/ca.pem"),
        ("COUNTERFOIL_SERVER__TLS__KEY", key),
    ]);
    assert!(!checked(&environment).out.contains("hunter2"));
}

#[test]
fn a_token_is_made_without_a_configuration_and_never_taken_from_the_command_line() {
    let made = ran(&["token", "new", "ada@company.example"], &[]);
    assert_eq!((made.code, made.err.as_str(), made.out.lines().count()), (0, "", 2));
    assert!(made.out.ends_with(" ada@company.example\n"), "{}", made.out);
    for wrong in [
        &["token", "new", "dev"][..],
        &["token", "new", "two words"],
        &["token", "new"],
        &["token", "hash", "ada@company.example", "counterfoil_0123456789abcdef"],
    ] {
        let wrong = ran(wrong, &[]);
        assert_eq!((wrong.code, wrong.out.as_str()), (2, ""));
    }
}
