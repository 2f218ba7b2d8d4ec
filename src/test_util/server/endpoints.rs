//! Metadata, keys and tokens.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::CACHE_CONTROL;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::{Map, Value, json};

use super::recorded_request::read;
use super::responses::{json_response, status, with};
use super::state::{State, lock};
use crate::test_util::TokenBuilder;

/// The audience of a token for which the client names no resource.
pub(super) const AUDIENCE: &str = "https://api.example";

pub(super) fn metadata(state: &Mutex<State>, address: SocketAddr) -> Response<Full<Bytes>> {
    let mut state = lock(state);
    state.counts.discovery += 1;
    let mut metadata = Map::new();
    metadata.insert("issuer".into(), state.issuer.clone().into());
    metadata.insert("response_types_supported".into(), json!(["code"]));
    for (name, path) in [
        ("jwks_uri", "jwks"),
        ("token_endpoint", "token"),
        ("introspection_endpoint", "introspect"),
        ("revocation_endpoint", "revoke"),
    ] {
        metadata.insert(name.into(), format!("http://{address}/{path}").into());
    }
    metadata.extend(state.metadata.clone());
    metadata.retain(|_, value| !value.is_null());
    json_response(&Value::Object(metadata))
}

pub(super) async fn jwks(state: &Mutex<State>) -> Response<Full<Bytes>> {
    let (fault, delay, cache_control) = {
        let mut state = lock(state);
        state.counts.jwks += 1;
        (state.fault.clone(), state.delay, state.cache_control.clone())
    };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let response = match fault {
        None => {
            let keys: Vec<Value> = lock(state).keys.iter().map(|key| key.jwk()).collect();
            json_response(&json!({ "keys": keys }))
        }
        Some(fault) => fault.answer().await,
    };
    match cache_control {
        Some(value) => with(response, CACHE_CONTROL, &value),
        None => response,
    }
}

/// Gives a token to anybody who names a client: `client_id`, `scope` and `resource` (RFC 8707) of the form are taken over.
pub(super) async fn token(state: &Mutex<State>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let body = read(request.into_body()).await;
    let form: HashMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
    let mut state = lock(state);
    state.counts.token += 1;
    let (Some(client), Some(key)) = (form.get("client_id"), state.keys.first()) else {
        return status(StatusCode::BAD_REQUEST);
    };
    let scope = form.get("scope").map_or("", String::as_str);
    let audience = form.get("resource").map_or(AUDIENCE, String::as_str);
    let token = TokenBuilder::new(Arc::clone(key), &state.issuer, audience)
        .subject(client)
        .client(client)
        .scope(scope)
        .expires_in(600)
        .build();
    json_response(&json!({"access_token": token, "token_type": "Bearer", "expires_in": 600, "scope": scope}))
}
