//! `Stripe-Version`: any dated version is answered as the one spoken here, a malformed one is refused.
//!
//! Source: <https://docs.stripe.com/api/versioning>.

use http::HeaderMap;

use super::error::ApiError;

/// Refuses a version that is none. Stripe refuses unknown dates as well; here they count as the version spoken, so that a
/// client of any age can be tried.
pub(crate) fn check(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(sent) = headers.get("stripe-version") else {
        return Ok(());
    };
    match sent.to_str() {
        Ok(version) if is_dated(version) => Ok(()),
        _ => {
            let version = String::from_utf8_lossy(sent.as_bytes());
            Err(ApiError::invalid(format!("Invalid Stripe API version: {version}")).before_execution())
        }
    }
}

/// `2024-06-20`, or with the release's name, `2026-09-30.endive`.
pub(crate) fn is_dated(version: &str) -> bool {
    let (date, name) = match version.split_once('.') {
        Some((date, name)) => (date, Some(name)),
        None => (version, None),
    };
    let named = name.is_none_or(|name| !name.is_empty() && name.bytes().all(|letter| letter.is_ascii_lowercase()));
    named
        && date.len() == 10
        && date.starts_with(|first: char| first.is_ascii_digit())
        && chrono::NaiveDate::parse_from_str(date, "%Y-%m-%d").is_ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_version_is_a_date_and_perhaps_a_name() {
        for version in ["2026-09-30.endive", "2024-06-20", "2011-01-01", "2031-02-28.later"] {
            assert!(super::is_dated(version), "{version}");
        }
        for version in [
            "",
            "latest",
            "2019-2-19",
            "2019-02-30",
            "2024-06-20.",
            "2024-06-20.Acacia",
            "2024-06-20.a.b",
            "2024-06-20, 2024-06-20",
            "+024-06-20",
        ] {
            assert!(!super::is_dated(version), "{version}");
        }
    }
}
