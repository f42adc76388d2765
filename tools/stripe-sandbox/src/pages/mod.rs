//! The hosted pages: plain, accessible HTML without scripts.

pub(crate) mod authenticate;
pub(crate) mod checkout;
pub(crate) mod link;
pub(crate) mod onboarding;
pub(crate) mod pay;
pub(crate) mod portal;

use std::fmt::Write;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};

use crate::{app::App, http::error::ApiError, json::Value, world::Cause};

/// An HTML page; `body` is HTML already.
pub(crate) fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let title = escaped(title);
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    );
    let mut response = (status, html).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

/// The object of this kind, in whichever account it is, and that account.
fn find(app: &App, object: &str, id: &str) -> Option<(String, Value)> {
    app.tick();
    let mut world = app.world();
    world.accounts().into_iter().find_map(|account| {
        world.account = account.clone();
        Some((account, world.get(object, id, "id").ok()?))
    })
}

/// What somebody does on a page, for the record.
fn cause(app: &App, page: &str) -> Cause {
    Cause {
        operation: page.to_owned(),
        request_id: Some(app.world().id("req_", 14)),
        idempotency_key: None,
    }
}

/// What went wrong, as the first thing of a page.
fn alert(error: &ApiError) -> String {
    let text = |name: &str| error.fields.get(name).and_then(Value::as_str);
    let code = text("decline_code").or(text("code")).unwrap_or_default();
    let message = text("message").unwrap_or_default();
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<p role=\"alert\" data-code=\"{}\">{}</p>",
        escaped(code),
        escaped(message)
    );
    out
}

/// 303 to `url`.
pub(crate) fn redirect(url: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    // What a header cannot hold (letters outside ASCII, say) is percent-encoded by the parser.
    let url = url::Url::parse(url).map_or_else(|_| "/".to_owned(), |url| url.to_string());
    response.headers_mut().insert(
        header::LOCATION,
        HeaderValue::from_str(&url).unwrap_or(HeaderValue::from_static("/")),
    );
    response
}

/// Text made safe to stand in HTML, attribute values included.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;margin:2rem auto;max-width:32rem;padding:0 1rem;color:#1a1f36}\
label{display:block;margin:.8rem 0 .2rem}input,select,textarea{font:inherit;padding:.5rem;width:100%;box-sizing:border-box;\
border:1px solid #697386;border-radius:.3rem}button{font:inherit;margin-top:1.2rem;padding:.6rem 1.2rem;border:0;\
border-radius:.3rem;background:#4b3fcf;color:#fff;cursor:pointer}button.plain{background:none;color:#4b3fcf;\
text-decoration:underline}table{width:100%;border-collapse:collapse}td,th{text-align:left;padding:.3rem 0;\
border-bottom:1px solid #e3e8ee}td:last-child,th:last-child{text-align:right}code{white-space:nowrap}[role=alert]{background:#fde8e8;\
border-left:.3rem solid #b3093c;padding:.6rem 1rem}.note{color:#4f566b;font-size:.9rem}";

#[cfg(test)]
mod tests {
    #[test]
    fn what_somebody_typed_cannot_become_markup() {
        assert_eq!(
            super::escaped("<b a='1'>\"&\""),
            "&lt;b a=&#39;1&#39;&gt;&quot;&amp;&quot;"
        );
    }
}
