//! The claims that name the kind of a token: `token_use` and `typ`.
//!
//! No standard defines either of them, and providers use both to tell ID tokens and refresh tokens
//! from access tokens.

/// Values of `token_use`: `access` of Amazon Cognito, and `access_token` of Authlete and others.
const ACCESS_TOKEN_USES: [&str; 2] = ["access", "access_token"];

/// Values of the claim `typ`: `Bearer` of Keycloak, the two forms of the media type of RFC 9068
/// §2.1, and the words of `token_use`.
///
/// `JWT` is missing on purpose: the claim then names a format and no kind, as an ID token does.
const ACCESS_TOKEN_TYPES: [&str; 5] = ["Bearer", "at+jwt", "application/at+jwt", "access", "access_token"];

/// Returns whether `token_use` has a value of access tokens.
pub(crate) fn is_access_token_use(value: &str) -> bool {
    is_listed(&ACCESS_TOKEN_USES, value)
}

/// Returns whether the claim `typ` has a value of access tokens.
pub(crate) fn is_access_token_type(value: &str) -> bool {
    is_listed(&ACCESS_TOKEN_TYPES, value)
}

fn is_listed(names: &[&str], value: &str) -> bool {
    names.iter().any(|name| value.eq_ignore_ascii_case(name))
}
