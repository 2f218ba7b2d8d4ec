//! What the server knows, how it behaves, and what it was asked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};

use super::client::Clients;
use super::fault::Fault;
use super::gate::Hold;
use super::introspection_response::{Answer, Signer};
use super::recorded_request::Asked;
use crate::test_util::SigningKey;

/// How often each endpoint was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Both forms of metadata.
    pub discovery: usize,
    /// The JWK Set.
    pub jwks: usize,
    /// The token endpoint.
    pub token: usize,
    /// Introspection, refused requests included.
    pub introspection: usize,
    /// Revocation, refused requests included.
    pub revocation: usize,
}

/// What all parts of the server share.
#[derive(Debug)]
pub(super) struct State {
    pub(super) issuer: String,
    pub(super) keys: Vec<Arc<SigningKey>>,
    pub(super) fault: Option<Fault>,
    pub(super) delay: Duration,
    pub(super) cache_control: Option<String>,
    /// What the metadata says otherwise, or leaves out (null).
    pub(super) metadata: Map<String, Value>,
    pub(super) clients: Clients,
    pub(super) introspection: Introspection,
    pub(super) counts: Counts,
}

/// What the introspection endpoint knows, and how it behaves.
#[derive(Debug, Default)]
pub(super) struct Introspection {
    pub(super) answers: HashMap<String, Answer>,
    pub(super) signer: Option<Signer>,
    pub(super) fault: Option<Fault>,
    pub(super) delay: Duration,
    pub(super) hold: Option<Hold>,
    pub(super) asked: VecDeque<Asked>,
}

pub(super) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
