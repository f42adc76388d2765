//! Which parameters an operation accepts, declared as data and checked before anything runs.
//!
//! A pattern is a parameter's name with list positions blank. `[*]` stands for any one key, `[**]` for everything below.

use super::{error::ApiError, form::Params};

/// Refuses the first parameter no pattern covers, then the first required one that is missing.
pub(crate) fn check(params: &Params, accepted: &[&str], required: &[&str]) -> Result<(), ApiError> {
    for name in params.names() {
        // Source: https://docs.stripe.com/changelog/endive (2026-09-30)
        if name.starts_with("payment_method_types") {
            return Err(ApiError::invalid(
                "The payment_method_types parameter is no longer supported. Use dynamic payment methods instead.",
            )
            .code("payment_method_types_no_longer_supported")
            .param("payment_method_types")
            .before_execution());
        }
        if name != "expand[]" && name != "expand" && !accepted.iter().any(|pattern| covers(pattern, &name)) {
            return Err(ApiError::parameter_unknown(&name.replace("[]", "[0]")).before_execution());
        }
    }
    match required.iter().find(|name| !params.has(name)) {
        Some(name) => Err(ApiError::parameter_missing(name).before_execution()),
        None => Ok(()),
    }
}

fn covers(pattern: &str, name: &str) -> bool {
    let mut wanted = pattern.split('[');
    let mut given = name.split('[');
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some("**]"), _) => return true,
            (Some("*]"), Some(_)) => {}
            (Some(want), Some(have)) if want == have => {}
            // A hash or a list may be cleared as a whole by sending it empty.
            (Some(want), None) => return want == "*]" || want == "]",
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn patterns_cover_lists_and_open_hashes_only_where_they_say_so() {
        assert!(covers("items[][price]", "items[][price]"));
        assert!(covers("metadata[*]", "metadata[user_id]"));
        assert!(covers("metadata[*]", "metadata"));
        assert!(covers("card[**]", "card[a][b]"));
        assert!(!covers("items[][price]", "items[][prize]"));
        assert!(!covers("metadata[*]", "metadata[a][b]"));
        assert!(!covers("name", "name[a]"));
    }
}
