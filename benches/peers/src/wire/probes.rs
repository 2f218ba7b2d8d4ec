//! Credentials that are wrong in one respect each: who refuses what.

use std::error::Error;
use std::sync::Arc;

use portcullis::test_util::{SigningKey, TokenBuilder};
use serde::Serialize;

use super::ISSUER;
use super::client::Client;
use super::serve::What;
use super::servers::{Kind, Server};
use crate::fixture;

const HOUR: i64 = 3600;

/// A token, wrong in the respect that its name says.
pub struct Probe {
    pub name: &'static str,
    token: String,
    /// Whether everybody who protects a route has to refuse it.
    is_for_all: bool,
}

/// How a server answers each of the probes.
#[derive(Serialize)]
pub struct Refusals {
    pub name: String,
    pub answers: Vec<(&'static str, u16)>,
}

/// One of each kind, for a user who also has a good token.
pub fn all(key: &Arc<SigningKey>) -> Vec<Probe> {
    let good = || fixture::token(key, ISSUER, 0);
    let other = Arc::new(SigningKey::generate(key.algorithm()));
    let issued = good().claims()["iat"].as_i64().unwrap_or_default();
    let probe = |name, token: TokenBuilder| Probe { name, token: token.build(), is_for_all: true };
    let option = |name, token: TokenBuilder| Probe { is_for_all: false, ..probe(name, token) };
    vec![
        probe("signed by another key", good().forged_by(&other)),
        Probe {
            name: "unsigned, `alg` is `none`",
            token: good().header("alg", "none").build_with_signature(b""),
            is_for_all: true,
        },
        probe("of another issuer", good().claim("iss", "https://other.example.com")),
        probe("for another audience", good().claim("aud", "https://other.example.com")),
        probe("expired", good().expires_in(-HOUR)),
        option("without `exp`", good().without("exp")),
        option("not yet valid", good().claim("nbf", issued + HOUR)),
        option("of another type (`typ` is `JWT`)", good().header("typ", "JWT")),
        option("without the scope", good().scope("todo:write")),
    ]
}

/// Asks the server about each of them.
///
/// # Errors
/// If one is let in that nobody may let in, or that portcullis claims to refuse.
pub fn ask(probes: &[Probe], kind: Kind, server: &Server) -> Result<Refusals, Box<dyn Error>> {
    let mut answers = Vec::with_capacity(probes.len());
    for Probe { name, token, is_for_all } in probes {
        // Who refuses may close the connection.
        let status =
            Client::connect(server.port)?.get(Some(("authorization", &format!("Bearer {token}"))))?.status;
        let is_strict = matches!(kind, Kind::Portcullis { what, .. } if what != What::Authenticated);
        let expected = if *name == "without the scope" { 403 } else { 401 };
        if (*is_for_all || is_strict) && status != expected {
            return Err(format!("a token is answered {status}, not {expected}: {name}").into());
        }
        answers.push((*name, status));
    }
    Ok(Refusals { name: server.name.clone(), answers })
}
