//! An authenticator of one's own: partners send a key as `X-Partner-Key`. Try `curl -i -H 'X-Partner-Key: demo' …`.

use std::error::Error;
use std::process::ExitCode;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::routing::get;
use portcullis::{
    AuthError, AuthFuture, AuthLayer, Authenticator, Credential, Match, Presentation, Principal,
    RequestContext, Verdict,
};

struct PartnerKeys(Vec<(Vec<u8>, &'static str)>); // digests of keys, so that comparing takes no telling time

impl Authenticator for PartnerKeys {
    fn recognizes(&self, _: &Credential<'_>) -> Match {
        Match::Specific
    }
    fn authenticate(&self, credential: &Credential<'_>, _: &RequestContext<'_>) -> AuthFuture {
        let sent = digest(&SHA256, credential.expose().as_bytes());
        AuthFuture::ready(match self.0.iter().find(|(known, _)| known == sent.as_ref()) {
            Some((_, partner)) => {
                Ok(Verdict::once(Principal::builder("partner-key").client_id(*partner).build()))
            }
            None => Err(AuthError::invalid_token("partner_key_unknown")),
        })
    }
    fn presentations(&self) -> Vec<Presentation> {
        vec![Presentation::header(http::HeaderName::from_static("x-partner-key"), "PartnerKey")]
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let Err(error) = run().await else { return ExitCode::SUCCESS };
    // Each error is one part of the sentence: what failed, then why.
    let parts = std::iter::successors(Some(&*error), |&error| error.source());
    eprintln!("error: {}", parts.map(ToString::to_string).collect::<Vec<_>>().join(": "));
    ExitCode::FAILURE
}

async fn run() -> Result<(), Box<dyn Error>> {
    let keys = PartnerKeys(vec![(digest(&SHA256, b"demo").as_ref().to_vec(), "hooli")]);
    let hello =
        get(|caller: Principal| async move { format!("hello, {}\n", caller.client_id().unwrap_or("?")) });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, Router::new().route("/", hello).route_layer(AuthLayer::new(keys))).await?;
    Ok(())
}
