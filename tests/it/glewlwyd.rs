//! Another real process: glewlwyd, an authorization server of another make than the npm `oidc-provider`.

use std::path::Path;

use serde_json::Value;

use crate::harness::{Client, Server, access_token, plain_client, post_form};

/// An authorization server of another make. Ends when dropped.
pub struct Glewlwyd {
    server: Server,
    pub issuer: String,
    http: reqwest::Client,
}

impl Glewlwyd {
    /// `None` if it is not installed, said loudly; `scripts/test` installs it.
    pub async fn start() -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/glewlwyd");
        let program = "usr/bin/glewlwyd";
        let installed = [folder.join("installed"), "/".into()].iter().any(|root| root.join(program).exists());
        if std::env::var_os("PORTCULLIS_SKIP_GLEWLWYD").is_some() || !installed {
            eprintln!("SKIPPED: glewlwyd is not installed; scripts/test installs it");
            return None;
        }
        let server = Server::start(&folder, &[]);
        let issuer = server.announced("issuer");
        Some(Self { server, issuer, http: plain_client() })
    }

    /// A token by client credentials, for [`audience`](Self::audience); it is a JWT.
    pub async fn token(&self, scope: &str) -> String {
        let audience = self.audience();
        let form = [("grant_type", "client_credentials"), ("scope", scope), ("resource", &audience)];
        access_token(self.post("token_endpoint", &self.client(), &form).await).await
    }

    /// Access and refresh token of a user; the audience of the first is its scope, of the other the client.
    pub async fn user_tokens(&self, scope: &str) -> (String, String) {
        let (user, password) = (self.server.announced("username"), self.server.announced("password"));
        let form =
            [("grant_type", "password"), ("scope", scope), ("username", &user), ("password", &password)];
        let answer = self.post("token_endpoint", &self.client(), &form).await;
        let answer: Value = answer.json().await.unwrap();
        let token = |name: &str| answer[name].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        (token("access_token"), token("refresh_token"))
    }

    /// A bearer token that may be sent to the introspection endpoint in place of credentials.
    pub async fn introspection_token(&self) -> String {
        let form = [("grant_type", "client_credentials"), ("scope", "introspect")];
        access_token(self.post("token_endpoint", &self.resource_server(), &form).await).await
    }

    pub async fn revoke(&self, token: &str) {
        let answer = self.post("revocation_endpoint", &self.client(), &[("token", token)]).await;
        assert_eq!(answer.status(), 200);
    }

    /// The client that gets the tokens.
    pub fn client(&self) -> Client {
        Client::of(&self.server.announcement, "client_id", "client_secret")
    }

    /// The client that introspects them.
    pub fn resource_server(&self) -> Client {
        Client::of(&self.server.announcement, "rs_client_id", "rs_client_secret")
    }

    pub fn introspection_endpoint(&self) -> String {
        self.server.announced("introspection_endpoint")
    }

    pub fn audience(&self) -> String {
        self.server.announced("audience")
    }

    async fn post(&self, endpoint: &str, client: &Client, form: &[(&str, &str)]) -> reqwest::Response {
        post_form(&self.http, &self.server.announced(endpoint), client, form).await
    }
}
