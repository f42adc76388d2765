//! What each service is told, as its environment: the same for a service in this process and for one of its own.

use counterfoil_types::{InvalidKey, Mode};

use crate::addresses::Addresses;
use crate::database::Role;

/// The services, in the order they start.
pub const SERVICES: [&str; 5] = ["webhook-gateway", "customer", "billing", "tax", "connect"];

/// The schema of a service.
#[must_use]
pub fn schema(service: &str) -> String {
    service.replace('-', "_")
}

/// Origins that a demo's redirects may lead to.
const ALLOWED_ORIGINS: &str = r#"["http://127.0.0.1", "http://localhost"]"#;

/// The environment of `service` in the suite at `addresses`, whose database it enters as `app` and migrates as `owner`.
/// `lease_ms` is how long a call whose process died may hold its key.
///
/// # Errors
/// When the sandbox's key is none.
pub fn environment(
    service: &str,
    addresses: &Addresses,
    owner: &Role,
    app: &Role,
    lease_ms: u64,
) -> Result<Vec<(String, String)>, InvalidKey> {
    let mode = Mode::of_key(&addresses.sandbox.secret_key)?.to_string();
    let grpc = &addresses.grpc;
    let listen = match service {
        "webhook-gateway" => &grpc.gateway,
        "customer" => &grpc.customer,
        "billing" => &grpc.billing,
        "tax" => &grpc.tax,
        _ => &grpc.connect,
    };
    let mut environment = vec![
        ("COUNTERFOIL_SERVER__LISTEN", listen.clone()),
        ("COUNTERFOIL_SERVER__DEV_IDENTITY", "true".to_owned()),
        ("COUNTERFOIL_DATABASE__URL", app.url.clone()),
        ("COUNTERFOIL_DATABASE__OWNER_URL", owner.url.clone()),
        ("COUNTERFOIL_DATABASE__SCHEMA", schema(service)),
        ("COUNTERFOIL_TELEMETRY__FORMAT", "text".to_owned()),
        ("COUNTERFOIL_TELEMETRY__LOG", "warn".to_owned()),
    ];
    if service == "webhook-gateway" {
        environment.extend(gateway(addresses, &mode));
    } else {
        environment.extend([
            ("STRIPE_SECRET_KEY", addresses.sandbox.secret_key.clone()),
            ("COUNTERFOIL_STRIPE__MODE", mode),
            ("COUNTERFOIL_STRIPE__BASE_URL", format!("{}/", addresses.sandbox.url)),
        ]);
    }
    if matches!(service, "customer" | "billing" | "connect") {
        environment.push(("COUNTERFOIL_EVENTS__GATEWAY_URL", format!("http://{}", grpc.gateway)));
    }
    if matches!(service, "billing" | "connect") {
        environment.push(("COUNTERFOIL_SERVER__ALLOWED_ORIGINS", ALLOWED_ORIGINS.to_owned()));
        environment.push(("COUNTERFOIL_CLAIMS__LEASE_MS", lease_ms.to_string()));
    }
    if service == "billing" {
        environment.push(("COUNTERFOIL_CUSTOMER_URL", format!("http://{}", grpc.customer)));
    }
    Ok(environment
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect())
}

/// Two endpoints with one secret: for the platform's own events and for those of connected accounts.
fn gateway(addresses: &Addresses, mode: &str) -> Vec<(&'static str, String)> {
    let authority = addresses.gateway.webhook_url.trim_start_matches("http://");
    let listen = authority.split('/').next().unwrap_or_default();
    let secret = &addresses.gateway.webhook_secret;
    let endpoint =
        |kind: &str| format!(r#"{{secrets=[{{name="dev", value="{secret}"}}], mode="{mode}", kind="{kind}"}}"#);
    vec![
        ("COUNTERFOIL_HTTP__LISTEN", listen.to_owned()),
        ("COUNTERFOIL_ENDPOINTS__PLATFORM", endpoint("platform")),
        ("COUNTERFOIL_ENDPOINTS__CONNECT", endpoint("connect")),
    ]
}
