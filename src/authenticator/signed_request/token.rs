//! A token that a client made for one request, and whether it belongs to that.

use std::borrow::Cow;

use bytes::Bytes;
use http::{Method, Uri};

use super::claims::{Claims, Rules, Said};
use super::secret::{ClientSecret, SigningClient};
use crate::clock::timestamp::UnixTime;
use crate::context::RequestContext;
use crate::error::Reason;
use crate::jose::hmac::{HmacKey, Symmetric, Tag};
use crate::jose::{Buffers, Parts};
use crate::revocation::Mark;

/// Secrets that are tried for one token. More than two fit only where several change at once.
pub(crate) const MAX_SECRETS: usize = 8;

/// A token that is of this moment and says all that it must. Who made it is not known yet.
pub(super) struct RequestToken<'b> {
    token: Symmetric<'b>,
    pub(super) said: Said<'b>,
}

impl<'b> RequestToken<'b> {
    pub(super) fn read(
        token: &'b [u8],
        buffers: &'b mut Buffers,
        rules: &Rules,
        now: UnixTime,
    ) -> Result<Self, Reason> {
        let token = Symmetric::open(Parts::split(token, rules.max_token_len)?, buffers)?;
        let said = Claims::parse(token.claims)?.judge(rules, now)?;
        Ok(Self { token, said })
    }

    pub(super) const fn claims(&self) -> &Bytes {
        self.token.claims
    }

    /// Gives the client if one of its secrets signed the token, and the token is bound to no other request than this one.
    /// `nobody` is a key with which an unknown client costs as much as one that is known.
    pub(super) fn verify<'c>(
        &self,
        client: Option<&'c SigningClient>,
        nobody: &HmacKey,
        request: &Target<'_>,
    ) -> Result<&'c SigningClient, Reason> {
        let Some(client) = client.filter(|client| !client.secrets.is_empty()) else {
            // Whatever it finds: nobody has signed.
            let _ = self.token.is_signed_by(nobody);
            return Err(Reason::ClientUnknown);
        };
        let signed = |secret: &&ClientSecret| self.token.is_signed_by(secret.key());
        let secret = client.secrets.iter().take(MAX_SECRETS).find(signed).ok_or(Reason::ClientUnknown)?;
        if self.said.req.is_some_and(|tag| !request.line_has(&tag, secret.key())) {
            return Err(Reason::BindingMismatch);
        }
        if let Some(tag) = self.said.pay {
            let body = request.body.as_deref().ok_or(Reason::BodyNeeded)?;
            if !secret.key().verify(&[body], &tag) {
                return Err(Reason::BindingMismatch);
            }
        }
        Ok(client)
    }

    /// What tells it from all others that are accepted at the same time: its `jti`, or all that was signed. Not the signature,
    /// since a client that has two secrets can sign the same twice.
    pub(super) fn single_use_key(&self) -> [u8; 32] {
        let client = &self.said.client;
        let mark = match &self.said.jti {
            Some(jti) => Mark::of("single use of jti", client, jti),
            None => Mark::of("single use of token", client, self.token.signed),
        };
        *mark.as_bytes()
    }
}

/// What of a request a token may be bound to.
pub(super) struct Target<'r> {
    method: Cow<'r, Method>,
    uri: Cow<'r, Uri>,
    body: Option<Cow<'r, [u8]>>,
}

impl<'r> Target<'r> {
    pub(super) fn of(context: &RequestContext<'r>) -> Self {
        Self {
            method: Cow::Borrowed(context.method()),
            uri: Cow::Borrowed(context.original_uri()),
            body: context.body().map(Cow::Borrowed),
        }
    }

    /// A copy that outlives the request, of what this token is bound to.
    pub(super) fn to_owned_for(&self, said: &Said<'_>) -> Target<'static> {
        let body = self.body.as_deref().filter(|_| said.pay.is_some());
        Target {
            method: Cow::Owned((*self.method).clone()),
            uri: Cow::Owned((*self.uri).clone()),
            body: body.map(|body| Cow::Owned(body.to_vec())),
        }
    }

    /// `METHOD PATH?QUERY`, as on the request line.
    fn line_has(&self, tag: &Tag, key: &HmacKey) -> bool {
        let path = self.uri.path_and_query().map_or("", |path| path.as_str());
        key.verify(&[self.method.as_str().as_bytes(), b" ", path.as_bytes()], tag)
    }
}
