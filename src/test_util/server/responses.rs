//! Responses, and their parts.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::Value;

pub(super) fn status(code: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = code;
    response
}

pub(super) fn content(content_type: &str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    with(Response::new(Full::new(body.into())), CONTENT_TYPE, content_type)
}

pub(super) fn with<B>(mut response: Response<B>, name: http::HeaderName, value: &str) -> Response<B> {
    response.headers_mut().insert(name, value.parse().expect("a header value"));
    response
}

pub(super) fn json_response(value: &Value) -> Response<Full<Bytes>> {
    content("application/json", value.to_string())
}
