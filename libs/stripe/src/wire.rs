//! A request as bytes: what is stored, sent and compared.

use counterfoil_types::AccountId;
use stripe_client_core::{RequestBuilder, StripeMethod};

use crate::error::Error;

/// The bytes of a request without its headers' secrets. Two equal requests are equal bytes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Wire {
    pub(crate) method: Method,
    /// `/v1/…` with its query.
    pub(crate) path: String,
    /// Form pairs, sorted.
    pub(crate) body: Vec<u8>,
    /// The connected account acted for; empty for our own.
    pub(crate) account: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
    Delete,
}

impl Method {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Delete => "DELETE",
        }
    }

    pub(crate) fn parse(method: &str) -> Option<Method> {
        [Method::Get, Method::Post, Method::Delete]
            .into_iter()
            .find(|known| known.as_str() == method)
    }
}

impl Wire {
    /// Refuses a path in which an id brought more than an id: it would name another object, or another endpoint.
    pub(crate) fn of(request: RequestBuilder, account: Option<&AccountId>) -> Result<Wire, Error> {
        let odd = |character: char| !character.is_ascii_alphanumeric() && !"/_-.:@+=,".contains(character);
        if request.path.contains(odd)
            || request
                .path
                .split('/')
                .skip(1)
                .any(|segment| matches!(segment, "" | "." | ".."))
        {
            return Err(Error::Bug(
                "an id in a path to stripe has characters that no id has".to_owned(),
            ));
        }
        let method = match request.method {
            StripeMethod::Get => Method::Get,
            StripeMethod::Post => Method::Post,
            StripeMethod::Delete => Method::Delete,
        };
        let query = sorted(request.query.as_deref().unwrap_or_default());
        let path = if query.is_empty() {
            format!("/v1{}", request.path)
        } else {
            format!("/v1{}?{query}", request.path)
        };
        Ok(Wire {
            method,
            path,
            body: sorted(request.body.as_deref().unwrap_or_default()).into_bytes(),
            account: account.map(AccountId::to_string).unwrap_or_default(),
        })
    }

    /// The path for spans: without its query, and with `{id}` for each id. Words of Stripe's paths are lower-case letters
    /// and underscores; ids have digits or capitals in them.
    pub(crate) fn template(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        let is_word = |segment: &&str| segment.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let segments = path.split('/').map(|segment| match segment {
            "v1" => "v1",
            word if is_word(&word) => word,
            _ => "{id}",
        });
        segments.collect::<Vec<_>>().join("/")
    }
}

/// Sorts form pairs by name: async-stripe's metadata is a `HashMap`, in another order each time. Pairs of one name keep
/// their order, which has a meaning.
fn sorted(form: &str) -> String {
    let mut pairs: Vec<&str> = form.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_by_key(|pair| pair.split('=').next());
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wire(path: &str, query: &str) -> Result<Wire, Error> {
        let mut request = RequestBuilder::new(StripeMethod::Get, path);
        request.query = Some(query.to_owned());
        Wire::of(request, None)
    }

    #[test]
    fn a_template_has_no_id_and_no_query_in_it() {
        for (path, template) in [
            ("/customers", "/v1/customers"),
            ("/customers/cus_QXg1o8vcGmoR32", "/v1/customers/{id}"),
            (
                "/checkout/sessions/cs_test_a1/line_items",
                "/v1/checkout/sessions/{id}/line_items",
            ),
            ("/coupons/ada@example.com", "/v1/coupons/{id}"),
        ] {
            assert_eq!(wire(path, "email=ada%40example.com").unwrap().template(), template);
        }
    }

    #[test]
    fn an_id_cannot_lead_to_another_path() {
        for path in [
            "/customers/",
            "/customers/..",
            "/customers/../accounts",
            "/customers/./x",
            "/customers//x",
            "/customers/a?limit=100",
            "/customers/a#x",
            "/customers/a%2Fb",
            "/customers/a b",
            "/customers/a\r\nb",
            "/customers/é",
        ] {
            assert!(matches!(wire(path, ""), Err(Error::Bug(_))), "{path}");
        }
    }

    #[test]
    fn pairs_are_sorted_by_name_and_those_of_one_name_keep_their_order() {
        assert_eq!(
            sorted("b=1&a%5Bx%5D=2&c[]=z&a=3&c[]=y"),
            "a=3&a%5Bx%5D=2&b=1&c[]=z&c[]=y"
        );
        assert_eq!(sorted(""), "");
    }

    proptest! {
        #[test]
        fn sorting_is_idempotent_and_loses_no_pair(form in "([a-c]{1,3}=[a-z]{0,2}&){0,8}[a-c]=x") {
            let once = sorted(&form);
            prop_assert_eq!(sorted(&once), once.clone());
            let (mut before, mut after): (Vec<_>, Vec<_>) = (form.split('&').collect(), once.split('&').collect());
            before.sort_unstable();
            after.sort_unstable();
            prop_assert_eq!(before, after);
        }
    }
}
