//! Calling tokens back: an identity provider tells us by a webhook who signed out, and their tokens are refused from then on.
//!
//! `cargo run --example revocation` starts it with an authorization server of its own and prints curl lines.

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use axum::extract::State;
use axum::handler::Handler as _;
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use portcullis::test_util::FakeAuthorizationServer;
use portcullis::{AuthLayer, JwtAuthenticator, Mark, MemoryRevocations, Principal, require_scopes};
use serde::Deserialize;
use tokio::net::TcpListener;

/// As the issuer is set up: no access token of it is valid for longer.
const LONGEST_LIFETIME: Duration = Duration::from_secs(3600);

#[tokio::main]
async fn main() -> ExitCode {
    let Err(error) = run().await else { return ExitCode::SUCCESS };
    // Each error is one part of the sentence: what failed, then why.
    let parts = std::iter::successors(Some(&*error), |&error| error.source());
    eprintln!("error: {}", parts.map(ToString::to_string).collect::<Vec<_>>().join(": "));
    ExitCode::FAILURE
}

async fn run() -> Result<(), Box<dyn Error>> {
    let server = FakeAuthorizationServer::start().await;
    let jwt = JwtAuthenticator::builder(server.issuer(), FakeAuthorizationServer::AUDIENCE)
        .max_lifetime(LONGEST_LIFETIME)
        .build()?;
    let revocations = MemoryRevocations::new(LONGEST_LIFETIME);
    // Asked on every request, also where the verdict is known.
    let auth = AuthLayer::new(jwt).revocations(revocations.clone());

    // The provider proves who it is like any other caller: with a token, and a scope that nobody else gets.
    let app = Router::new()
        .route("/whoami", get(whoami))
        .route("/events", post(event.layer(require_scopes(["sessions:revoke"]))))
        .route_layer(auth)
        .with_state((revocations, server.issuer_id()));

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let token = |subject: &str, scope: &str| {
        server.token().subject(subject).scope(scope).claim("sid", format!("session-of-{subject}")).build()
    };
    let (ann, provider) = (token("ann", "todo:read"), token("provider", "sessions:revoke"));
    println!("listening on http://{address}\n");
    println!("curl -i -H 'Authorization: Bearer {ann}' http://{address}/whoami");
    println!("# ann signs out; her token is a 401 from then on");
    println!(
        "curl -i -H 'Authorization: Bearer {provider}' -H 'Content-Type: application/json' \
         -d '{{\"sid\": \"session-of-ann\"}}' http://{address}/events"
    );
    axum::serve(listener, app).await?;
    Ok(())
}

async fn whoami(caller: Principal) -> String {
    format!("{}\n", caller.subject().unwrap_or("nobody"))
}

/// What may be called back.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Event {
    /// One token.
    Jti(String),
    /// One session.
    Sid(String),
    /// All tokens of a user that were issued before a time, in seconds since the epoch.
    Subject { sub: String, issued_before: u64 },
}

async fn event(
    State((revocations, issuer)): State<(MemoryRevocations, String)>,
    Json(event): Json<Event>,
) -> Result<StatusCode, StatusCode> {
    let entered = match event {
        Event::Jti(jti) => revocations.revoke(Mark::jti(&issuer, &jti)),
        Event::Sid(sid) => revocations.revoke(Mark::session(&issuer, &sid)),
        Event::Subject { sub, issued_before } => {
            let time =
                UNIX_EPOCH.checked_add(Duration::from_secs(issued_before)).ok_or(StatusCode::BAD_REQUEST)?;
            revocations.revoke_before(Mark::subject(&issuer, &sub), time)
        }
    };
    // The list is full: the provider has to come again, since nothing was called back.
    entered.map(|()| StatusCode::NO_CONTENT).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}
