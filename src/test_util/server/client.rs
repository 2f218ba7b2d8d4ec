//! Who may ask: the authentication of clients (RFC 6749 §2.3, RFC 7523).

use std::collections::HashSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::jwt::{now, verified};
use super::recorded_request::Asked;
use super::responses::{json_response, with};
use crate::test_util::key::PublicKey;

/// RFC 7523 §2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

pub(super) const CLIENT_ID: &str = "resource-server";

/// Encoded as RFC 6749 §2.3.1 asks, it is another text.
pub(super) const CLIENT_SECRET: &str = "s3:cr%et +/=";

pub(super) const CLIENT_TOKEN: &str = "token-of-the-resource-server";

/// The keys of the client, and the assertions that came.
#[derive(Debug, Default)]
pub(super) struct Clients {
    pub(super) keys: Vec<Arc<PublicKey>>,
    seen: HashSet<String>,
}

/// Why an endpoint for clients does not answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal {
    Client,
    Request,
}

impl Clients {
    /// `audiences` are the names that an assertion may call the server.
    pub(super) fn authenticate(&mut self, asked: &Asked, audiences: [&str; 2]) -> Result<(), Refusal> {
        let mut headers = asked.headers.get_all(AUTHORIZATION).iter();
        let (header, another) = (headers.next(), headers.next());
        if !asked.is_well_formed() || another.is_some() {
            return Err(Refusal::Request);
        }
        let id = asked.field("client_id");
        let known = match (header, asked.field("client_secret"), asked.field("client_assertion")) {
            (Some(header), None, None) => header.to_str().is_ok_and(is_client),
            (None, Some(secret), None) => id.is_some() && secret == CLIENT_SECRET,
            (None, None, Some(assertion)) => {
                asked.field("client_assertion_type") == Some(ASSERTION_TYPE)
                    && self.asserted(assertion, audiences).is_some()
            }
            (None, None, None) => false,
            // RFC 6749 §2.3: one method in each request.
            _ => return Err(Refusal::Request),
        };
        let named = id.is_none_or(|id| id == CLIENT_ID);
        if known && named { Ok(()) } else { Err(Refusal::Client) }
    }

    fn asserted(&mut self, assertion: &str, audiences: [&str; 2]) -> Option<()> {
        let claims = verified(assertion, self.keys.iter().map(AsRef::as_ref))?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let client = Some(CLIENT_ID);
        let names_us = |audience: &Value| audience.as_str().is_some_and(|name| audiences.contains(&name));
        let right = text("iss") == client
            && text("sub") == client
            && match claims.get("aud")? {
                Value::Array(list) => list.iter().any(names_us),
                one => names_us(one),
            }
            && claims.get("exp")?.as_f64()? > now();
        // A wrong assertion uses no `jti` up.
        (right && self.seen.insert(text("jti")?.to_owned())).then_some(())
    }
}

impl Refusal {
    pub(super) fn response(self) -> Response<Full<Bytes>> {
        let (code, error) = match self {
            Self::Client => (StatusCode::UNAUTHORIZED, "invalid_client"),
            Self::Request => (StatusCode::BAD_REQUEST, "invalid_request"),
        };
        let mut response = json_response(&json!({ "error": error }));
        *response.status_mut() = code;
        match self {
            Self::Client => with(response, WWW_AUTHENTICATE, "Basic realm=\"introspection\""),
            Self::Request => response,
        }
    }
}

fn is_client(header: &str) -> bool {
    let Some((scheme, value)) = header.split_once(' ') else { return false };
    if scheme.eq_ignore_ascii_case("Bearer") {
        return value == CLIENT_TOKEN;
    }
    let decoded = STANDARD.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = decoded.as_deref().and_then(|pair| pair.split_once(':'));
    scheme.eq_ignore_ascii_case("Basic")
        && pair.is_some_and(|(id, secret)| {
            form_decoded(id).as_deref() == Some(CLIENT_ID)
                && form_decoded(secret).as_deref() == Some(CLIENT_SECRET)
        })
}

/// `None` for a text that was not encoded: it holds what the encoding leaves nowhere.
fn form_decoded(text: &str) -> Option<String> {
    if text.contains(['&', '=', ' ', ':', '/']) {
        return None;
    }
    url::form_urlencoded::parse(text.as_bytes()).next().map(|(name, _)| name.into_owned())
}
