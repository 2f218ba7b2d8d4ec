//! The claims of a principal and its names, which mostly stand in the claims.

use bytes::Bytes;

/// The claims, a JSON object, and the names of a principal. A name that stands in the claims shares
/// their memory.
#[derive(Clone, Default)]
pub(super) struct Texts {
    claims: Bytes,
    names: [Bytes; 4],
}

impl Texts {
    /// `names` are the subject, the client, the plan and the id of the API key; `claims` are UTF-8.
    pub(super) fn new(names: [&str; 4], claims: Bytes) -> Self {
        let names = names.map(|name| shared(name, &claims));
        Self { claims, names }
    }

    /// Returns the claims, if there are any.
    pub(super) fn claims(&self) -> Option<&[u8]> {
        Some(&*self.claims).filter(|claims| !claims.is_empty())
    }

    pub(super) fn subject(&self) -> Option<&str> {
        text(&self.names[0])
    }

    pub(super) fn client(&self) -> Option<&str> {
        text(&self.names[1])
    }

    pub(super) fn plan(&self) -> Option<&str> {
        text(&self.names[2])
    }

    pub(super) fn api_key(&self) -> Option<&str> {
        text(&self.names[3])
    }

    /// Returns how many bytes of memory they hold.
    pub(super) fn bytes(&self) -> usize {
        let claims = self.claims.as_ptr_range();
        let own = self.names.iter().filter(|name| !claims.contains(&name.as_ptr())).map(Bytes::len);
        own.fold(self.claims.len(), usize::saturating_add)
    }
}

/// The name as a part of the claims if it lies in them, else a copy.
fn shared(name: &str, claims: &Bytes) -> Bytes {
    let (part, whole) = (name.as_bytes().as_ptr_range(), claims.as_ptr_range());
    // What `slice_ref` demands.
    if whole.start <= part.start && part.end <= whole.end {
        claims.slice_ref(name.as_bytes())
    } else {
        Bytes::copy_from_slice(name.as_bytes())
    }
}

/// An empty name is none.
fn text(name: &Bytes) -> Option<&str> {
    std::str::from_utf8(name).ok().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_claims_share_their_memory() {
        let json = Bytes::from_static(br#"{"sub":"ann","client_id":"app"}"#);
        let document = std::str::from_utf8(&json).unwrap();
        let texts = Texts::new([&document[8..11], &document[26..29], "", ""], json.clone());
        assert_eq!((texts.subject(), texts.client()), (Some("ann"), Some("app")));
        assert_eq!((texts.plan(), texts.api_key()), (None, None));
        assert_eq!((texts.claims(), texts.bytes()), (Some(&*json), json.len()));
    }

    #[test]
    fn names_from_elsewhere_are_copied() {
        let json = Bytes::from_static(br#"{"sub":"ann"}"#);
        let texts = Texts::new(["anné", "ann", "gold", "k1"], json.clone());
        assert_eq!((texts.subject(), texts.client()), (Some("anné"), Some("ann")));
        assert_eq!((texts.plan(), texts.api_key()), (Some("gold"), Some("k1")));
        assert_eq!((texts.claims(), texts.bytes()), (Some(&*json), json.len() + 5 + 3 + 4 + 2));
    }

    #[test]
    fn a_principal_without_claims_has_its_names() {
        let texts = Texts::new(["ann", "", "", ""], Bytes::new());
        assert_eq!((texts.subject(), texts.client(), texts.claims()), (Some("ann"), None, None));
    }
}
