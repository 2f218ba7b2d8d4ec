//! What the server was asked.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Collected};
use hyper::body::Incoming;

/// A request to the introspection endpoint, as it came.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Asked {
    /// The headers.
    pub headers: HeaderMap,
    /// The form's fields, decoded, in their order.
    pub form: Vec<(String, String)>,
    /// The body, not decoded.
    pub body: String,
}

impl Asked {
    pub(super) async fn read(request: Request<Incoming>) -> Self {
        let (parts, body) = request.into_parts();
        let body = read(body).await;
        let form = url::form_urlencoded::parse(&body).into_owned().collect();
        Self { headers: parts.headers, form, body: String::from_utf8_lossy(&body).into_owned() }
    }

    /// A field of the form.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// RFC 6749 §3.2: a form, in which no field stands twice.
    pub(super) fn is_well_formed(&self) -> bool {
        let content_type = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = content_type.and_then(|value| value.split(';').next()).map(str::trim);
        let twice = |(at, (name, _)): (usize, &(String, String))| {
            self.form.iter().skip(at + 1).any(|(other, _)| other == name)
        };
        media_type.is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
            && !self.form.iter().enumerate().any(twice)
    }
}

pub(super) async fn read(body: Incoming) -> Bytes {
    body.collect().await.map(Collected::to_bytes).unwrap_or_default()
}
