//! The service configs under `proto/`, held against the descriptors.

use counterfoil_proto::{FILE_DESCRIPTOR_SET, billing, connect, customer, event, tax};
use prost::Message;
use prost_types::method_options::IdempotencyLevel;
use prost_types::{FileDescriptorSet, MethodDescriptorProto};
use tonic::Code;

use super::config::ServiceConfig;

const PUBLISHED: [(&str, &str); 5] = [
    ("counterfoil.billing.v1", billing::v1::SERVICE_CONFIG),
    ("counterfoil.connect.v1", connect::v1::SERVICE_CONFIG),
    ("counterfoil.customer.v1", customer::v1::SERVICE_CONFIG),
    ("counterfoil.event.v1", event::v1::SERVICE_CONFIG),
    ("counterfoil.tax.v1", tax::v1::SERVICE_CONFIG),
];

/// Methods that may be repeated without an `idempotency_key`: why stands in their comments.
const NATURAL: [&str; 4] = [
    "/counterfoil.event.v1.QuarantineService/DiscardQuarantined",
    "/counterfoil.event.v1.QuarantineService/ReleaseQuarantined",
    "/counterfoil.customer.v1.CustomerService/GetOrCreateCustomer",
    "/counterfoil.tax.v1.CalculationService/CreateCalculation",
];

/// Everything that is wrong with `config` as the one of `package`.
fn faults(files: &FileDescriptorSet, package: &str, config: &ServiceConfig) -> Vec<String> {
    let mut faults = Vec::new();
    let mut entries = config.paths();
    let own = files.file.iter().filter(|file| file.package() == package);
    for service in own.flat_map(|file| &file.service) {
        for method in &service.method {
            let path = format!("/{package}.{}/{}", service.name(), method.name());
            let covered = entries.len();
            entries.retain(|entry| *entry != path);
            if entries.len() == covered {
                faults.push(format!("{path} has no entry"));
                continue;
            }
            faults.extend(fault_of(files, config, &path, method).map(|fault| format!("{path} {fault}")));
        }
    }
    faults.extend(entries.into_iter().map(|entry| format!("{entry} is no method")));
    faults
}

fn fault_of(
    files: &FileDescriptorSet,
    config: &ServiceConfig,
    path: &str,
    method: &MethodDescriptorProto,
) -> Option<&'static str> {
    let entry = config.method(path)?;
    if method.client_streaming() || method.server_streaming() {
        return entry.timeout.map(|_| "is a stream and has a timeout");
    }
    if entry.timeout.is_none() {
        return Some("has no timeout");
    }
    let level = method.options.clone().unwrap_or_default().idempotency_level();
    let keyed = NATURAL.contains(&path) || has_key(files, method.input_type());
    match (level, &entry.retry) {
        (IdempotencyLevel::IdempotencyUnknown, Some(_)) => Some("is repeated and may not be"),
        (IdempotencyLevel::Idempotent, _) if !keyed => Some("says that it is idempotent and has no key"),
        (_, Some(retry)) if retry.codes != [Code::Unavailable] => Some("is repeated after more than UNAVAILABLE"),
        _ => None,
    }
}

fn has_key(files: &FileDescriptorSet, message: &str) -> bool {
    let named = |package: &str, name: &str| message.trim_start_matches('.') == format!("{package}.{name}");
    files.file.iter().any(|file| {
        let mut messages = file.message_type.iter();
        messages
            .find(|found| named(file.package(), found.name()))
            .is_some_and(|found| found.field.iter().any(|field| field.name() == "idempotency_key"))
    })
}

fn descriptors() -> FileDescriptorSet {
    FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap()
}

#[test]
fn every_published_config_fits_its_package() {
    let files = descriptors();
    for (package, json) in PUBLISHED {
        let config = ServiceConfig::parse(json).unwrap();
        assert_eq!(faults(&files, package, &config), [""; 0]);
        assert!(
            config.throttle.is_some(),
            "{package}: nothing keeps retries from becoming a storm"
        );
    }
}

#[test]
fn every_package_with_a_service_publishes_a_config() {
    let own = |file: &&prost_types::FileDescriptorProto| file.package().starts_with("counterfoil.");
    for file in descriptors().file.iter().filter(own) {
        let published = PUBLISHED.iter().any(|(package, _)| *package == file.package());
        assert!(published || file.service.is_empty(), "{}", file.package());
    }
}

#[test]
fn what_does_not_fit_is_found() {
    let files = descriptors();
    let (package, json) = ("counterfoil.customer.v1", customer::v1::SERVICE_CONFIG);
    for (valid, wrong, found) in [
        ("\"GetCustomer\"", "\"GetCustomers\"", "GetCustomer has no entry"),
        ("\"GetCustomer\"", "\"GetCustomers\"", "GetCustomers is no method"),
        ("UNAVAILABLE", "ABORTED", "is repeated after more than UNAVAILABLE"),
    ] {
        let config = ServiceConfig::parse(&json.replacen(valid, wrong, 1)).unwrap();
        let faults = faults(&files, package, &config);
        assert!(faults.iter().any(|fault| fault.ends_with(found)), "{wrong}: {faults:?}");
    }

    let config = ServiceConfig::parse(r#"{ "methodConfig": [] }"#).unwrap();
    let event = "counterfoil.event.v1";
    assert!(faults(&files, event, &config).contains(&format!("/{event}.EventService/Subscribe has no entry")));

    let mut json: serde_json::Value = serde_json::from_str(event::v1::SERVICE_CONFIG).unwrap();
    json["methodConfig"][0]
        .as_object_mut()
        .unwrap()
        .remove("timeout")
        .unwrap();
    json["methodConfig"][0]
        .as_object_mut()
        .unwrap()
        .remove("retryPolicy")
        .unwrap();
    json["methodConfig"][1]["timeout"] = "10s".into();
    let mut faults = faults(&files, event, &ServiceConfig::parse(&json.to_string()).unwrap());
    for unbounded in ["EventService/GetEvent", "QuarantineService/ReleaseQuarantined"] {
        let fault = format!("/{event}.{unbounded} has no timeout");
        assert!(faults.contains(&fault), "{fault}: {faults:?}");
    }
    faults.retain(|fault| !fault.ends_with(" has no timeout"));
    assert_eq!(
        faults,
        [format!("/{event}.EventService/Subscribe is a stream and has a timeout")]
    );
}

#[test]
fn a_mutation_that_forgets_its_key_is_found() {
    let (package, json) = ("counterfoil.billing.v1", billing::v1::SERVICE_CONFIG);
    let config = ServiceConfig::parse(json).unwrap();
    let cancel = "/counterfoil.billing.v1.SubscriptionService/CancelSubscription";

    let mut unmarked = descriptors();
    for method in unmarked
        .file
        .iter_mut()
        .flat_map(|file| &mut file.service)
        .flat_map(|service| &mut service.method)
    {
        method.options = method.options.take().filter(|_| method.name() != "CancelSubscription");
    }
    assert_eq!(
        faults(&unmarked, package, &config),
        [format!("{cancel} is repeated and may not be")]
    );

    let mut keyless = descriptors();
    for message in keyless.file.iter_mut().flat_map(|file| &mut file.message_type) {
        if message.name() == "CancelSubscriptionRequest" {
            message.field.retain(|field| field.name() != "idempotency_key");
        }
    }
    assert_eq!(
        faults(&keyless, package, &config),
        [format!("{cancel} says that it is idempotent and has no key")]
    );
}
