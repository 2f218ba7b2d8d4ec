//! Warnings about issuers whose credentials name no client.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::key::RateKey;
use crate::error::excerpt::Excerpt;
use crate::principal::Principal;

/// Issuers with a warning of their own. Their number is bounded, because an authenticator of an
/// application may take the issuer from a credential.
const MAX_ISSUERS: usize = 100;

/// Logs that a limit cannot count this caller by its client: once for each issuer and process.
pub(super) fn warn_once(principal: &Principal) {
    static WARNED: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());
    // Without an issuer an authenticator of the application names the client, and no claim does.
    let Some(issuer) = principal.issuer() else { return };
    let mut warned = WARNED.lock().unwrap_or_else(PoisonError::into_inner);
    if warned.len() >= MAX_ISSUERS || !warned.insert(RateKey::mark(issuer)) {
        return;
    }
    drop(warned);
    let (issuer, method) = (Excerpt(issuer), principal.method());
    tracing::warn!(
        target: "portcullis", %issuer, method,
        "a rate limit counts by client, and credentials of this issuer name none: they count by subject, or by address; if another claim names the client, set `client_claims` on the authenticator's builder"
    );
}
