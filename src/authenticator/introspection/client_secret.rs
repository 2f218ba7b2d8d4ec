//! Client ids and secrets: which ones are accepted, and how header fields hold them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::HeaderValue;
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

use crate::error::ConfigError;

/// RFC 6749 appendix A knows no control characters in either; a line end comes along when a secret is read from a file.
pub(super) fn sound(setting: &'static str, id: &str, secret: Option<&str>) -> Result<(), ConfigError> {
    let control = |text: &str| text.chars().any(char::is_control);
    let problem = match secret {
        _ if id.is_empty() => "the client id must not be empty",
        _ if control(id) => "the client id holds a control character",
        Some("") => "the secret must not be empty",
        Some(secret) if control(secret) => "the secret holds a control character, such as a line end",
        _ => return Ok(()),
    };
    // Not even the id is named: it is the secret where the two were swapped.
    Err(ConfigError::Setting { setting, value: None, problem })
}

/// RFC 6749 §2.3.1 and appendix B, then RFC 7617 §2: after the encoding no colon is left in the id.
pub(super) fn basic_credentials(id: &str, secret: &str) -> Zeroizing<String> {
    let encoded = |text: &str| {
        let parts: Vec<&str> = byte_serialize(text.as_bytes()).collect();
        joined(&parts)
    };
    let pair = joined(&[&encoded(id), ":", &encoded(secret)]);
    joined(&["Basic ", &Zeroizing::new(STANDARD.encode(pair.as_bytes()))])
}

/// In one piece from the start: a string that grows leaves copies behind.
pub(super) fn joined(parts: &[&str]) -> Zeroizing<String> {
    Zeroizing::new(parts.concat())
}

/// A header value that never shows itself, made once; its bytes are shared by all requests and wiped after the last.
pub(super) fn header(setting: &'static str, text: Zeroizing<String>) -> Result<HeaderValue, ConfigError> {
    let problem = "cannot stand in a header field";
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text))
        .map_err(|_| ConfigError::Setting { setting, value: None, problem })?;
    value.set_sensitive(true);
    Ok(value)
}
