//! The claims that name the client of a token.

use std::borrow::Cow;

use super::json::Mixed;
use crate::error::ConfigError;

/// The name of RFC 9068 §2.2 and RFC 7662 §2.2, and that of OpenID Connect Core §2. Both are always
/// strings.
const CLIENT_ID: &str = "client_id";
const AZP: &str = "azp";

/// Besides these the names of Okta and of Entra ID, whose tokens of version 1.0 have `appid`.
const DEFAULT: [&str; 4] = [CLIENT_ID, AZP, "cid", "appid"];

/// Each unknown claim of a token is compared with all of them.
const MAX_CLAIMS: usize = 16;

/// Claims with a meaning of their own, which the readers of tokens and responses use.
const OTHERWISE_USED: [&str; 24] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "scope",
    "scp",
    "cnf",
    "typ",
    "token_use",
    "token_type",
    "active",
    "at_hash",
    "c_hash",
    "events",
    "token_introspection",
    "username",
    "sid",
    "auth_time",
    "acr",
    "email",
    "preferred_username",
];

/// The claims that may name the client, in the order of their preference.
#[derive(Clone, Debug)]
pub(crate) struct ClientClaims(Box<[Cow<'static, str>]>);

impl Default for ClientClaims {
    fn default() -> Self {
        Self(DEFAULT.map(Cow::Borrowed).into())
    }
}

impl ClientClaims {
    pub(crate) fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(names.into_iter().map(|name| Cow::Owned(name.into())).collect())
    }

    /// Returns an error if the list cannot be used.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let wrong = |value: Option<&str>, problem| {
            let value = value.map(ToOwned::to_owned);
            Err(ConfigError::Setting { setting: "client_claims", value, problem })
        };
        if self.0.is_empty() || self.0.len() > MAX_CLAIMS {
            return wrong(None, "must name 1 to 16 claims");
        }
        if self.0.iter().any(|name| name.is_empty()) {
            return wrong(None, "must not name an empty claim");
        }
        match self.0.iter().find(|name| OTHERWISE_USED.contains(&&***name)) {
            Some(name) => wrong(Some(name), "has another meaning than the client"),
            None => Ok(()),
        }
    }

    /// Returns the place of a claim in the list; the first is the most preferred.
    pub(crate) fn rank(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|listed| listed == name)
    }

    /// Returns the client that the most preferred claim names.
    pub(crate) fn choose<'a>(
        &self,
        client_id: Option<&'a str>,
        azp: Option<&'a str>,
        other: &'a OtherClient<'_>,
    ) -> Option<&'a str> {
        self.0.iter().enumerate().find_map(|(rank, name)| match &**name {
            CLIENT_ID => client_id,
            AZP => azp,
            _ => other.at(rank),
        })
    }
}

/// The client that a claim other than `client_id` and `azp` names: of several, the most preferred.
///
/// A value that is no string, or an empty one, names nobody. It is no error, because these names
/// belong to no standard and an application may use them for something else.
#[derive(Debug, Default)]
pub(crate) struct OtherClient<'b>(Option<(usize, Cow<'b, str>)>);

impl<'b> OtherClient<'b> {
    pub(crate) fn offer(&mut self, rank: usize, value: Mixed<'b>) {
        let is_better = self.0.as_ref().is_none_or(|(best, _)| rank < *best);
        if let Mixed::Text(name) = value
            && is_better
            && !name.is_empty()
        {
            self.0 = Some((rank, name));
        }
    }

    fn at(&self, rank: usize) -> Option<&str> {
        self.0.as_ref().filter(|(best, _)| *best == rank).map(|(_, name)| &**name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_of_claims_is_checked() {
        let check = |names: &[&str]| ClientClaims::new(names.iter().copied()).check();
        let many: Vec<String> = (0..17).map(|number| format!("claim{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(check(&many[..16]), Ok(()));
        for wrong in [&many[..], &[], &["cid", ""], &["sub"], &["cid", "username"], &["typ"]] {
            assert!(check(wrong).is_err(), "{wrong:?}");
        }
        for right in [&["cid"][..], &["azp", "client_id"], &["cid", "cid"], &["Sub"]] {
            assert_eq!(check(right), Ok(()), "{right:?}");
        }
        assert_eq!(ClientClaims::default().check(), Ok(()));
        let error = check(&["cid", "sub"]).unwrap_err().to_string();
        assert_eq!(error, "`client_claims` is `sub`: has another meaning than the client");
    }

    #[test]
    fn most_preferred_name_wins_in_any_order() {
        let text = |name: &'static str| Mixed::Text(Cow::Borrowed(name));
        for offers in [[(0, "first"), (1, "second")], [(1, "second"), (0, "first")]] {
            let mut other = OtherClient::default();
            offers.into_iter().for_each(|(rank, name)| other.offer(rank, text(name)));
            assert_eq!((other.at(0), other.at(1)), (Some("first"), None));
        }
    }

    #[test]
    fn value_that_is_no_name_is_passed_over() {
        for nameless in [Mixed::Null, Mixed::Other, Mixed::Text(Cow::Borrowed(""))] {
            let mut other = OtherClient::default();
            other.offer(0, nameless);
            other.offer(1, Mixed::Text(Cow::Borrowed("app")));
            assert_eq!((other.at(0), other.at(1)), (None, Some("app")));
        }
    }
}
