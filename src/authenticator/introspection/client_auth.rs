//! How we prove to an authorization server who asks.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use url::form_urlencoded::Serializer;
use zeroize::Zeroizing;

use super::client_assertion::{ASSERTION_TYPE, assertion};
use super::client_secret::{basic_credentials, header, joined, sound};
use crate::credential::parse::is_token68;
use crate::error::ConfigError;
use crate::jose::algorithm::Algorithm;
use crate::jose::signer::{PrivateKey, SigningFailed};

/// How this resource server authenticates itself to an authorization server (RFC 7662 §2.1).
///
/// ```
/// use portcullis::ClientAuth;
/// let auth = ClientAuth::basic("todo-api", "gX1fBat3bV");
/// assert!(!format!("{auth:?}").contains("gX1fBat3bV"));
/// ```
///
/// # Errors
/// What is empty or malformed is reported when the authenticator is built; a private key is read at once.
///
/// # Security
/// Secrets are wiped when the last clone is dropped, and `Debug` does not show them; copies in the buffers of the PEM reader and of
/// the HTTP client are not wiped. A secret is sent as it is, so it is as safe as the way to the server; of the four ways
/// [`private_key_jwt`](Self::private_key_jwt) alone sends none.
#[derive(Clone)]
pub struct ClientAuth {
    client_id: Option<Arc<str>>,
    method: Result<Method, ConfigError>,
}

#[derive(Clone)]
enum Method {
    Basic(HeaderValue),
    Post(Arc<Zeroizing<String>>),
    Bearer(HeaderValue),
    PrivateKeyJwt(PrivateKey),
}

/// Why a request was not authenticated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unauthenticated {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Signing(#[from] SigningFailed),
}

impl ClientAuth {
    /// `client_secret_basic`: id and secret in `Authorization: Basic`, each form-urlencoded first (RFC 6749 §2.3.1).
    ///
    /// A server that forgets to decode them refuses an id or secret that is not made of letters, digits and `* - . _`; with such
    /// a server use [`post`](Self::post).
    #[must_use]
    pub fn basic(id: impl Into<String>, secret: impl Into<String>) -> Self {
        let (id, secret) = (id.into(), Zeroizing::new(secret.into()));
        let method = sound("ClientAuth::basic", &id, Some(&secret))
            .and_then(|()| header("ClientAuth::basic", basic_credentials(&id, &secret)))
            .map(Method::Basic);
        Self { client_id: Some(id.into()), method }
    }

    /// `client_secret_post`: id and secret in the form (RFC 6749 §2.3.1).
    #[must_use]
    pub fn post(id: impl Into<String>, secret: impl Into<String>) -> Self {
        let (id, secret) = (id.into(), Zeroizing::new(secret.into()));
        let method = sound("ClientAuth::post", &id, Some(&secret)).map(|()| Method::Post(Arc::new(secret)));
        Self { client_id: Some(id.into()), method }
    }

    /// `Authorization: Bearer`, with an access token that allows introspection (RFC 7662 §2.1). It is never renewed.
    #[must_use]
    pub fn bearer(token: impl Into<String>) -> Self {
        let token = Zeroizing::new(token.into());
        let setting = "ClientAuth::bearer";
        let method = if is_token68(token.as_bytes()) {
            header(setting, joined(&["Bearer ", &token])).map(Method::Bearer)
        } else {
            let problem =
                if token.is_empty() { "must not be empty" } else { "is not a token (RFC 6750 §2.1)" };
            Err(ConfigError::Setting { setting, value: None, problem })
        };
        Self { client_id: None, method }
    }

    /// `private_key_jwt`: a signed assertion for each request, good for a minute (RFC 7523 §2.2, OpenID Connect Core §9).
    ///
    /// The key is unencrypted PKCS#8 in PEM form (`BEGIN PRIVATE KEY`): for RSA of 2048 to 8192 bits, for ECDSA on the curve of
    /// the algorithm. `pkcs8_pem` stays the caller's, to be wiped or not.
    ///
    /// The `aud` of the assertion is the identifier of the issuer, as RFC 7523bis and FAPI 2.0 ask, and not the endpoint: an evil
    /// server could publish the endpoint of another as its own, and use there what it was sent.
    ///
    /// A signature takes time of the processor: with RSA and 2048 bits most of a millisecond, with ES256 or Ed25519 a small part
    /// of that.
    ///
    /// # Errors
    /// If the key cannot be read, does not fit the algorithm, or is too weak, or the client id is empty.
    pub fn private_key_jwt(
        client_id: impl Into<String>,
        algorithm: Algorithm,
        pkcs8_pem: impl AsRef<[u8]>,
    ) -> Result<Self, ConfigError> {
        let (client_id, setting) = (client_id.into(), "ClientAuth::private_key_jwt");
        sound(setting, &client_id, None)?;
        let key = PrivateKey::from_pem(algorithm, pkcs8_pem.as_ref())
            .map_err(|problem| ConfigError::Setting { setting, value: None, problem })?;
        Ok(Self { client_id: Some(client_id.into()), method: Ok(Method::PrivateKeyJwt(key)) })
    }

    /// Sets the `kid` of the assertions, for a client that has several keys. Only [`private_key_jwt`](Self::private_key_jwt)
    /// makes any: with the other ways it is an error when the authenticator is built.
    #[must_use]
    pub fn kid(self, kid: impl Into<String>) -> Self {
        let kid = kid.into();
        let setting = "ClientAuth::kid";
        let wrong = |problem| Err(ConfigError::Setting { setting, value: None, problem });
        let method = match self.method {
            Ok(Method::PrivateKeyJwt(_)) if kid.is_empty() => wrong("must not be empty"),
            Ok(Method::PrivateKeyJwt(key)) => Ok(Method::PrivateKeyJwt(key.with_kid(&kid))),
            Ok(_) => wrong("is for private_key_jwt alone"),
            Err(error) => Err(error),
        };
        Self { method, ..self }
    }

    /// Whether it can be used; to be asked where an authenticator is built.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.method.as_ref().map(drop).map_err(ConfigError::clone)
    }

    /// Who asks, where the server is told so by name.
    pub(crate) fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// Adds what proves who asks to the form and the header fields of one request to a server of this issuer. A second request
    /// needs a second call: an assertion is used once.
    pub(crate) fn apply(
        &self,
        form: &mut Serializer<'_, String>,
        headers: &mut HeaderMap,
        issuer: &str,
        now: SystemTime,
    ) -> Result<(), Unauthenticated> {
        let client_id = self.client_id.as_deref().unwrap_or_default();
        match self.method.as_ref().map_err(ConfigError::clone)? {
            Method::Basic(value) | Method::Bearer(value) => {
                headers.insert(AUTHORIZATION, value.clone());
            }
            Method::Post(secret) => {
                form.append_pair("client_id", client_id).append_pair("client_secret", secret);
            }
            Method::PrivateKeyJwt(key) => {
                let assertion = Zeroizing::new(assertion(key, client_id, issuer, now)?);
                form.append_pair("client_assertion_type", ASSERTION_TYPE)
                    .append_pair("client_assertion", &assertion);
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match &self.method {
            Ok(Method::Basic(_)) => "client_secret_basic",
            Ok(Method::Post(_)) => "client_secret_post",
            Ok(Method::Bearer(_)) => "bearer",
            Ok(Method::PrivateKeyJwt(_)) => "private_key_jwt",
            Err(_) => "unusable",
        };
        f.debug_struct("ClientAuth")
            .field("method", &method)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use jsonwebtoken::decode_header;
    use serde_json::Value;

    use super::*;
    use crate::test_util::key::SigningKey;

    const ISSUER: &str = "https://id.example.com";

    fn now() -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_millis(1_800_000_000_999)).unwrap()
    }

    /// The form and the header fields.
    fn applied(auth: &ClientAuth) -> (String, HeaderMap) {
        auth.check().unwrap();
        let mut form = Serializer::new(String::new());
        form.append_pair("token", "t");
        let mut headers = HeaderMap::new();
        auth.apply(&mut form, &mut headers, ISSUER, now()).unwrap();
        (form.finish(), headers)
    }

    fn authorization(auth: &ClientAuth) -> String {
        let (form, headers) = applied(auth);
        assert_eq!((form.as_str(), headers.len()), ("token=t", 1));
        assert!(headers[AUTHORIZATION].is_sensitive());
        headers[AUTHORIZATION].to_str().unwrap().to_owned()
    }

    fn form(auth: &ClientAuth) -> String {
        let (form, headers) = applied(auth);
        assert!(headers.is_empty());
        form.strip_prefix("token=t&").unwrap().to_owned()
    }

    /// What stands beneath the Base64.
    fn pair(auth: &ClientAuth) -> String {
        let value = authorization(auth);
        String::from_utf8(STANDARD.decode(value.strip_prefix("Basic ").unwrap()).unwrap()).unwrap()
    }

    fn problem(auth: &ClientAuth) -> Option<&'static str> {
        match auth.check() {
            Ok(()) => None,
            Err(ConfigError::Setting { problem, .. }) => Some(problem),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn basic_is_as_the_examples_of_rfc_6749_have_it() {
        let auth = ClientAuth::basic("s6BhdRkqt3", "gX1fBat3bV");
        assert_eq!(authorization(&auth), "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW");
        let auth = ClientAuth::basic("s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw");
        assert_eq!(authorization(&auth), "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3");
    }

    #[test]
    fn basic_encodes_id_and_secret_before_they_are_joined() {
        // The second is the example of RFC 6749 appendix B.
        let cases = [
            ("a:b", "c:d", "a%3Ab:c%3Ad"),
            ("app", " %&+\u{a3}\u{20ac}", "app:+%25%26%2B%C2%A3%E2%82%AC"),
            ("https://app.example/", "p/+=&%41", "https%3A%2F%2Fapp.example%2F:p%2F%2B%3D%26%2541"),
            ("*-._~", "\u{fc}", "*-._%7E:%C3%BC"),
        ];
        for (id, secret, expected) in cases {
            assert_eq!(pair(&ClientAuth::basic(id, secret)), expected);
        }
        // Padded, and in the alphabet with `+` and `/`, which no text in ASCII needs.
        assert_eq!(authorization(&ClientAuth::basic("a", "bc")), "Basic YTpiYw==");
    }

    #[test]
    fn post_puts_id_and_secret_into_the_form() {
        let auth = ClientAuth::post("a:b c", " %&+=/\u{e4}");
        assert_eq!(form(&auth), "client_id=a%3Ab+c&client_secret=+%25%26%2B%3D%2F%C3%A4");
    }

    #[test]
    fn bearer_sends_the_token() {
        assert_eq!(authorization(&ClientAuth::bearer("aZ09-._~+/==")), "Bearer aZ09-._~+/==");
    }

    #[test]
    fn header_fields_that_are_there_are_replaced() {
        let mut headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer old"))]);
        headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer older"));
        let mut form = Serializer::new(String::new());
        ClientAuth::bearer("new").apply(&mut form, &mut headers, ISSUER, now()).unwrap();
        assert_eq!(headers.get_all(AUTHORIZATION).iter().collect::<Vec<_>>(), ["Bearer new"]);
    }

    #[test]
    fn what_is_empty_or_malformed_is_told_before_anything_is_sent() {
        type Make = fn(&str, &str) -> ClientAuth;
        let control = "the secret holds a control character, such as a line end";
        let makes: [Make; 2] =
            [|id, secret| ClientAuth::basic(id, secret), |id, secret| ClientAuth::post(id, secret)];
        for make in makes {
            assert_eq!(problem(&make("app", "secret")), None);
            assert_eq!(problem(&make("", "secret")), Some("the client id must not be empty"));
            assert_eq!(problem(&make("app", "")), Some("the secret must not be empty"));
            assert_eq!(problem(&make("app", "secret\n")), Some(control));
            assert_eq!(problem(&make("a\u{85}p", "secret")), Some("the client id holds a control character"));
        }
        assert_eq!(problem(&ClientAuth::bearer("token")), None);
        assert_eq!(problem(&ClientAuth::bearer("")), Some("must not be empty"));
        for bad in ["to ken", "token\n", "=", "t\u{f6}ken", "a,b"] {
            assert_eq!(problem(&ClientAuth::bearer(bad)), Some("is not a token (RFC 6750 §2.1)"), "{bad:?}");
        }
    }

    #[test]
    fn what_is_malformed_is_never_applied() {
        let (mut form, mut headers) = (Serializer::new(String::new()), HeaderMap::new());
        let outcome = ClientAuth::basic("app", "").apply(&mut form, &mut headers, ISSUER, now());
        assert!(matches!(outcome, Err(Unauthenticated::Config(_))), "{outcome:?}");
        assert_eq!((form.finish().as_str(), headers.len()), ("", 0));
    }

    fn with_key(key: &SigningKey) -> ClientAuth {
        ClientAuth::private_key_jwt("app", key.algorithm(), key.pkcs8_pem()).unwrap()
    }

    fn assertion_of(auth: &ClientAuth) -> String {
        let form = form(auth);
        let fields: Vec<(String, String)> =
            url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        let [(kind, of_jwt), (name, assertion)] = <[_; 2]>::try_from(fields).unwrap();
        assert_eq!([kind, of_jwt], ["client_assertion_type", ASSERTION_TYPE]);
        assert_eq!(name, "client_assertion");
        assertion
    }

    /// Decoded, not verified.
    fn claims_of(assertion: &str) -> Value {
        let claims = URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice(&claims).unwrap()
    }

    #[test]
    fn a_private_key_signs_an_assertion_for_each_request() {
        let auth = with_key(&SigningKey::generate(Algorithm::ES256));
        let (one, other) = (claims_of(&assertion_of(&auth)), claims_of(&assertion_of(&auth.clone())));
        assert_ne!(one["jti"], other["jti"]);
        for claims in [one, other] {
            assert_eq!([&claims["iss"], &claims["sub"], &claims["aud"]], ["app", "app", ISSUER]);
            assert_eq!(claims["iat"], 1_800_000_000);
        }
    }

    #[test]
    fn a_kid_is_for_assertions_alone() {
        let key = SigningKey::generate(Algorithm::Ed25519);
        let kid = |auth: &ClientAuth| decode_header(assertion_of(auth)).unwrap().kid;
        assert_eq!(kid(&with_key(&key)), None);
        assert_eq!(kid(&with_key(&key).kid("k1")).as_deref(), Some("k1"));
        assert_eq!(problem(&with_key(&key).kid("")), Some("must not be empty"));
        let others = [ClientAuth::basic("app", "s"), ClientAuth::post("app", "s"), ClientAuth::bearer("t")];
        for other in others {
            assert_eq!(problem(&other), None);
            assert_eq!(problem(&other.kid("k1")), Some("is for private_key_jwt alone"));
        }
        assert_eq!(problem(&ClientAuth::bearer("").kid("k1")), Some("must not be empty"));
    }

    #[test]
    fn a_key_that_does_not_fit_is_refused_at_once_and_not_shown() {
        let pem = SigningKey::generate(Algorithm::ES256).pkcs8_pem();
        assert!(ClientAuth::private_key_jwt("app", Algorithm::ES256, &pem).is_ok());
        let error = ClientAuth::private_key_jwt("app", Algorithm::ES384, &pem).unwrap_err();
        let expected =
            "`ClientAuth::private_key_jwt`: this algorithm needs an EC key on its own curve in PKCS#8";
        assert_eq!(error.to_string(), expected);
        let error = ClientAuth::private_key_jwt("app", Algorithm::ES256, "s3cret").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"));
        let error = ClientAuth::private_key_jwt("", Algorithm::ES256, &pem).unwrap_err();
        assert_eq!(error.to_string(), "`ClientAuth::private_key_jwt`: the client id must not be empty");
    }

    #[test]
    fn debug_shows_who_and_how_but_no_secret() {
        let key = SigningKey::generate(Algorithm::Ed25519);
        let cases = [
            (ClientAuth::basic("app", "s3cret"), "client_secret_basic", Some("app")),
            (ClientAuth::post("app", "s3cret"), "client_secret_post", Some("app")),
            (ClientAuth::bearer("s3cret"), "bearer", None),
            (ClientAuth::bearer("s3cret,"), "unusable", None),
            (ClientAuth::basic("app", "s3cret\n"), "unusable", Some("app")),
            (with_key(&key), "private_key_jwt", Some("app")),
        ];
        for (auth, method, client_id) in cases {
            assert_eq!(auth.client_id(), client_id);
            let expected = format!("ClientAuth {{ method: {method:?}, client_id: {client_id:?}, .. }}");
            assert_eq!(format!("{auth:?}"), expected);
            let error = auth.check().err();
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
        let (_, headers) = applied(&ClientAuth::bearer("s3cret"));
        assert!(!format!("{headers:?}").contains("s3cret"));
    }
}
