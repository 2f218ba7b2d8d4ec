//! What an authority adds to a verdict that was made locally.

use std::time::SystemTime;

use crate::clock::timestamp::Timestamp;
use crate::scope::ScopeSet;

/// What an authority said about a token that it accepts.
pub(crate) struct Confirmed {
    pub(crate) asked: Timestamp,
    pub(crate) subject: Option<Box<str>>,
    /// `None` where it says nothing about scopes.
    pub(crate) scopes: Option<ScopeSet>,
    pub(crate) exp: Option<SystemTime>,
}
