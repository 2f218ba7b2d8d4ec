//! The Pied Piper Todo service: public, optional and protected routes beside each other.
//!
//! `cargo run --example todo` starts it with an authorization server of its own and prints curl lines with real tokens and an API key.
//! `cargo run --example todo -- --issuer https://id.example.com --audience https://api.example.com` protects it with yours, and
//! `--introspect URL --client-id ID --client-secret SECRET` lets it ask the issuer: about opaque tokens, and about any token that is
//! used to delete something. `--api-keys sqlite://FILE` or `postgres://…` adds API keys, which `keys create` and its siblings manage
//! while the server runs, and `--signed-clients FILE` clients that sign their requests. With `--redis URL` several servers
//! count together how often each client comes, and know of the same revocations; `--quota N/SECONDS:BURST` says how often it may.

mod keys;
mod options;
mod protection;
mod routes;

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use portcullis::test_util::FakeAuthorizationServer;
use portcullis::{
    ApiKeys, IssuedApiKey, NewApiKey, RateLimitLayer, Redis, RedisRateLimits, RedisRevocations, ScopeSet,
};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use options::{API_KEYS, Command, Options};

/// No token is accepted that lives longer.
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 3600);

#[tokio::main]
async fn main() -> ExitCode {
    let Err(error) = run().await else { return ExitCode::SUCCESS };
    // Each error is one part of the sentence: what failed, then why.
    let parts = std::iter::successors(Some(&*error), |&error| error.source());
    eprintln!("error: {}", parts.map(ToString::to_string).collect::<Vec<_>>().join(": "));
    ExitCode::FAILURE
}

async fn run() -> Result<(), Box<dyn Error>> {
    let Options { command, server: options, api_keys } = Options::parse();
    let logs = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,portcullis=debug".into());
    tracing_subscriber::fmt().with_env_filter(logs).with_writer(std::io::stderr).init();
    if let Some(Command::Keys(command)) = command {
        let keys = keys::open(api_keys.as_deref().unwrap_or(API_KEYS)).await?;
        return keys::run(&keys, command).await;
    }

    let real = options.issuer.is_some()
        || options.introspect.is_some()
        || options.signed_clients.is_some()
        || api_keys.is_some();
    let keys = match &api_keys {
        Some(url) => Some(keys::open(url).await?),
        None if real => None,
        None => Some(keys::open(API_KEYS).await?),
    };
    // Kept until the end: it stops when dropped.
    let embedded = if real { None } else { Some(FakeAuthorizationServer::start().await) };
    let protection = match (&embedded, keys.clone()) {
        (Some(server), Some(keys)) => protection::embedded(server, &options, keys)?,
        (_, keys) => protection::real(&options, keys)?,
    };
    if !protection.can_ask {
        tracing::info!("DELETE has the plain guard: no introspection is configured");
    }
    if let Some(issuer) = &protection.issuer
        && let Err(error) = issuer.warm_up().await
    {
        tracing::warn!(%error, "starting without keys; they are fetched when they are needed");
    }

    let (mut limit, mut revoked) = (RateLimitLayer::per_client(options.quota), None);
    if let Some(url) = &options.redis {
        let redis = Redis::open(url)?.namespace("todo");
        limit = limit.store(RedisRateLimits::new(redis.clone()));
        revoked = Some(RedisRevocations::connect(redis, LONGEST_LIFETIME).await?);
    }
    let app = routes::app(protection, limit, revoked);
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    if let (Some(server), Some(keys)) = (&embedded, &keys) {
        print_examples(address, server, &demo_key(keys).await?);
    }
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(stop()).await?;
    if let Some(keys) = &keys {
        keys.flush().await?;
    }
    Ok(())
}

async fn demo_key(keys: &ApiKeys) -> Result<IssuedApiKey, Box<dyn Error>> {
    let new = NewApiKey::new("for trying out", "demo").scopes(ScopeSet::parse("todo:read todo:write")?);
    Ok(keys.issue(new.expires_in(Duration::from_secs(3600))).await?)
}

fn print_examples(address: SocketAddr, server: &FakeAuthorizationServer, key: &IssuedApiKey) {
    let bearer = |token: &str| format!("-H 'Authorization: Bearer {token}'");
    let token = |scope: &str| server.token().scope(scope).expires_in(3600);
    let (read, write) =
        (bearer(&token("todo:read").build()), bearer(&server.opaque_token(token("todo:read todo:write"))));
    println!("tokens by {}, an issuer for trying out; they live for an hour\n", server.issuer_id());
    println!("# anybody");
    println!("curl -i http://{address}/ping");
    println!("curl -i http://{address}/public\n");
    println!("# with a signed token, which is judged here; without one each of these is a 401");
    println!("curl -i {read} http://{address}/whoami");
    println!("curl -i {read} http://{address}/api/todo\n");
    println!("# with an opaque token, about which the issuer is asked");
    println!("curl -i {write} -d 'buy milk' http://{address}/api/todo");
    println!("curl -i {write} -X DELETE http://{address}/api/todo/1\n");
    println!("# with an API key, which is looked up in {API_KEYS}");
    println!("curl -i -H 'X-API-Key: {}' http://{address}/api/todo", key.key.expose());
    println!("curl -i -u apikey:{} http://{address}/whoami\n", key.key.expose());
    println!(
        "# `todo:read` alone is not enough to write: the first token is answered 403 where the second is needed"
    );
}

/// Ends the server on Ctrl-C or SIGTERM.
async fn stop() {
    let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(signal) => signal,
        Err(error) => return tracing::warn!(%error, "cannot listen for SIGTERM"),
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
