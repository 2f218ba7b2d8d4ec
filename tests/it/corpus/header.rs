//! Parameters of the header.

use portcullis::Algorithm::ES256;
use serde_json::json;

use super::Corpus;

impl Corpus<'_> {
    pub(super) fn header_parameters(&mut self) {
        let parameters: [(&str, &[&str]); 16] = [
            (
                "typ",
                &[
                    "at+jwt",
                    "AT+JWT",
                    "application/at+jwt",
                    "Application/AT+jwt",
                    "JWT",
                    "jwt",
                    "application/jwt",
                ],
            ),
            (
                "typ",
                &[
                    "at+jwt ",
                    " at+jwt",
                    "text/at+jwt",
                    "at",
                    "dpop+jwt",
                    "logout+jwt",
                    "secevent+jwt",
                    "JOSE",
                ],
            ),
            ("kid", &["unknown", "../../../dev/null", "key' OR '1'='1"]),
            ("crit", &["b64"]),
            ("b64", &[]),
            ("zip", &["DEF", "GZIP"]),
            ("cty", &["JWT", "jwt", "application/JWT", "json"]),
            ("enc", &["A128GCM"]),
            ("jku", &["https://evil.example/keys"]),
            ("x5u", &["https://evil.example/chain"]),
            ("x5c", &["AAAA"]),
            ("x5t", &["AAAA"]),
            ("x5t#S256", &["AAAA"]),
            ("jwk", &["AAAA"]),
            ("nonce", &["n"]),
            ("x", &["\u{e9}"]),
        ];
        let types = [json!(null), json!(true), json!(1), json!(""), json!([]), json!(["exp"]), json!({})];
        for (at, (name, texts)) in parameters.into_iter().enumerate() {
            let types = if at == 1 { &[][..] } else { &types };
            for value in texts.iter().map(|text| json!(text)).chain(types.iter().cloned()) {
                self.add(format!("header {name} {value}"), &self.good().header(name, value.clone()));
            }
        }
        for name in ["typ", "kid"] {
            self.add(format!("header without {name}"), &self.good().without_header(name));
        }
        for len in [256, 257] {
            self.add(format!("header kid of {len}"), &self.good().header("kid", "k".repeat(len)));
        }
        let (stranger, other) = (self.keys.stranger.jwk(), self.keys.of(ES256).kid());
        self.add("header kid of another key", &self.good().header("kid", other));
        self.add("header jwk of a stranger", &self.good().header("jwk", stranger.clone()));
        let forged = self.good().forged_by(&self.keys.stranger).header("jwk", stranger);
        self.add("header jwk of a stranger who signed", &forged);
    }
}
