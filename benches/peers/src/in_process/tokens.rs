//! The credentials that are presented: good ones, each of a caller of its own, and two kinds of bad ones.

use std::sync::Arc;

use http::HeaderValue;
use portcullis::test_util::{SigningKey, TokenBuilder};

use super::peers::bearer;
use super::route::Caller;
use crate::fixture;

/// How many of each kind.
pub const NUMBER: usize = 10_000;

pub struct Tokens {
    pub good: Vec<HeaderValue>,
    /// As long as a token, of the same characters, with two dots; nothing of it can be decoded to JSON.
    pub malformed: Vec<HeaderValue>,
    /// A good token with another signature of the same length.
    pub forged: Vec<HeaderValue>,
    /// The length of a good token, without the scheme.
    pub bytes: usize,
}

impl Tokens {
    pub fn make(key: &Arc<SigningKey>, issuer: &str) -> Self {
        let tokens: Vec<String> = (0..NUMBER).map(|index| good(key, issuer, index).build()).collect();
        let forged = |index: usize| {
            let (message, _) = tokens[index].rsplit_once('.').expect("a signed token");
            let (_, signature) = tokens[(index + 1) % NUMBER].rsplit_once('.').expect("a signed token");
            bearer(&format!("{message}.{signature}"))
        };
        let bytes = tokens[0].len();
        Self {
            malformed: (0..NUMBER).map(|index| bearer(&malformed(index, bytes))).collect(),
            forged: (0..NUMBER).map(forged).collect(),
            good: tokens.iter().map(|token| bearer(token)).collect(),
            bytes,
        }
    }
}

/// The token of one caller, who is a client of its own, of a session of its own.
pub fn good(key: &Arc<SigningKey>, issuer: &str, index: usize) -> TokenBuilder {
    let token = fixture::token(key, issuer, index).client(&format!("web-frontend-{index:010}"));
    token.claim("sid", format!("0195c5a8-7f3e-7c41-9d55-{index:012x}"))
}

/// So many callers, other ones in each round.
pub fn callers(credentials: &[HeaderValue], round: usize, count: usize) -> Vec<Caller<'_>> {
    (0..count)
        .map(|index| {
            let number = (round * count + index) % credentials.len();
            Caller { credential: &credentials[number], number }
        })
        .collect()
}

fn malformed(index: usize, bytes: usize) -> String {
    let mut state = (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (0..bytes)
        .map(|place| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            match place {
                60 | 500 => '.',
                _ => char::from(
                    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
                        [(state % 64) as usize],
                ),
            }
        })
        .collect()
}
