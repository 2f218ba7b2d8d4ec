//! The texts of a principal in one piece of memory: its claims, and its names, which mostly stand in the claims.

/// The claims, a JSON object, behind those names that do not stand in them.
#[derive(Clone, Default)]
pub(super) struct Texts {
    text: String,
    claims_at: usize,
    names: [Place; 4],
}

/// Where a name stands. One that is too far off for these numbers, which no text here is, is none.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    start: u32,
    len: u32,
}

impl Texts {
    /// The subject, the client, the plan and the id of the API key. Those that are parts of `document` are not copied: that must
    /// be what is added as the claims.
    pub(super) fn new(names: [&str; 4], document: &str) -> Self {
        let (mut text, mut places, mut within) = (String::new(), [Place::default(); 4], [false; 4]);
        for ((name, place), within) in names.iter().zip(&mut places).zip(&mut within) {
            if name.is_empty() {
                continue;
            }
            let start = offset(document, name);
            *within = start.is_some();
            *place = Place { start: number(start.unwrap_or(text.len())), len: number(name.len()) };
            if start.is_none() {
                text.push_str(name);
            }
        }
        let claims_at = text.len();
        for (place, _) in places.iter_mut().zip(within).filter(|(_, within)| *within) {
            place.start = place.start.saturating_add(number(claims_at));
        }
        Self { text, claims_at, names: places }
    }

    /// Adds the claims, once.
    pub(super) fn add_claims(&mut self, json: String) {
        if self.text.is_empty() {
            self.text = json;
        } else {
            self.text.push_str(&json);
        }
    }

    /// The claims, if there are any.
    pub(super) fn claims(&self) -> Option<&str> {
        self.text.get(self.claims_at..).filter(|claims| !claims.is_empty())
    }

    pub(super) fn subject(&self) -> Option<&str> {
        self.named(self.names[0])
    }

    pub(super) fn client(&self) -> Option<&str> {
        self.named(self.names[1])
    }

    pub(super) fn plan(&self) -> Option<&str> {
        self.named(self.names[2])
    }

    pub(super) fn api_key(&self) -> Option<&str> {
        self.named(self.names[3])
    }

    fn named(&self, Place { start, len }: Place) -> Option<&str> {
        let (start, len) = (usize::try_from(start).ok()?, usize::try_from(len).ok()?);
        self.text.get(start..start.saturating_add(len)).filter(|name| !name.is_empty())
    }

    /// Bytes of memory that they hold.
    pub(super) fn bytes(&self) -> usize {
        self.text.capacity()
    }
}

fn number(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Where the part begins, if it lies within the whole: told by their addresses, so that nothing is searched.
fn offset(whole: &str, part: &str) -> Option<usize> {
    let offset = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    (offset.checked_add(part.len())? <= whole.len()).then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_stands_in_the_claims_is_not_copied() {
        let json = String::from(r#"{"sub":"ann","client_id":"app"}"#);
        let bytes = json.capacity();
        for (subject, client, copied) in [(8..11, 26..29, 0), (8..11, 0..0, 0)] {
            let (subject, client) = (&json[subject], &json[client]);
            let mut texts = Texts::new([subject, client, "", ""], &json);
            texts.add_claims(json.clone());
            assert_eq!(texts.subject(), Some(subject));
            assert_eq!(texts.client().unwrap_or_default(), client);
            assert_eq!((texts.plan(), texts.claims_at, texts.bytes()), (None, copied, bytes));
            assert_eq!(texts.claims(), Some(&*json));
        }
    }

    #[test]
    fn a_name_from_elsewhere_stands_before_the_claims() {
        let json = String::from(r#"{"sub":"ann"}"#);
        let mut texts = Texts::new(["anné", &json[8..11], "gold", "k1"], &json);
        texts.add_claims(json.clone());
        assert_eq!((texts.subject(), texts.client()), (Some("anné"), Some("ann")));
        assert_eq!((texts.plan(), texts.api_key()), (Some("gold"), Some("k1")));
        assert_eq!(texts.claims(), Some(&*json));
    }

    #[test]
    fn claims_that_are_not_the_document_name_nobody_rather_than_another() {
        let json = String::from(r#"{"sub":"ann"}"#);
        let mut texts = Texts::new([&json[8..11], "", "", ""], &json);
        assert_eq!((texts.subject(), texts.claims()), (None, None));
        texts.add_claims("{}".into());
        assert_eq!(texts.subject(), None);
    }

    #[test]
    fn only_what_lies_within_is_within() {
        let text = "abcdef";
        assert_eq!(offset(&text[1..4], &text[1..4]), Some(0));
        assert_eq!(offset(&text[1..4], &text[2..4]), Some(1));
        assert_eq!(offset(&text[1..4], &text[0..2]), None);
        assert_eq!(offset(&text[1..4], &text[3..5]), None);
        assert_eq!(offset("", "a"), None);
    }
}
