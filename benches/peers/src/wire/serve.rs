//! The server under load: one axum route, open or protected in one of several ways.

use std::error::Error;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::handler::Handler as _;
use axum::routing::{MethodRouter, get};
use clap::{Args, ValueEnum};
use portcullis::test_util::{ScriptedHttpClient, SigningKey};
use portcullis::{
    Algorithm, ApiKeyAuthenticator, ApiKeys, AuthLayer, Authenticator, Issuer, JwtAuthenticator,
    MemoryApiKeyStore, NewApiKey, Quota, RateLimitHeaders, RateLimitLayer, RemoteKeySet, ScopeSet,
    require_scopes,
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tower::layer::util::Identity;

use super::ISSUER;
use crate::fixture::{self, AUDIENCE, SCOPE};

const JWKS: &str = "https://id.example.com/keys";

/// More a second than a server answers in an hour: it never ends.
const ENDLESS: u32 = 1_000_000_000;

/// Starts one server on loopback, which ends when its standard input does.
///
/// It prints one line of JSON: the port, the header that credentials stand in, and those that were made for it.
#[derive(Args)]
pub struct Options {
    #[arg(long, value_enum)]
    pub what: What,
    #[arg(long, value_enum, default_value = "rs256")]
    pub algorithm: Signature,
    /// Threads that serve: 1 is tokio's runtime of one thread.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// The JWK Set of who signs the tokens; without it a key is made, and tokens are printed.
    #[arg(long)]
    pub jwks: Option<PathBuf>,
    /// How many users get a credential, where they are made here.
    #[arg(long, default_value_t = 512)]
    pub users: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Nothing stands before the route.
    Open,
    /// A layer that does nothing.
    Noop,
    /// Tokens, whose verdicts are used again, and nothing that asks for a scope.
    Authenticated,
    /// Tokens, whose verdicts are used again, and a scope.
    Cached,
    /// The same, and each request is judged anew.
    Uncached,
    /// API keys in memory, and a scope.
    ApiKey,
    /// As cached, and a limit for each client.
    Limited,
    /// As limited, without headers that tell how callers stand.
    LimitedSilently,
    /// As limited, with all layers in one stack, so that the router boxes one service instead of three.
    Stacked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Signature {
    Rs256,
    Es256,
    Eddsa,
}

impl Signature {
    pub const ALL: [Self; 3] = [Self::Rs256, Self::Es256, Self::Eddsa];

    pub fn algorithm(self) -> Algorithm {
        match self {
            Self::Rs256 => Algorithm::RS256,
            Self::Es256 => Algorithm::ES256,
            Self::Eddsa => Algorithm::Ed25519,
        }
    }

    /// As tokens spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::Eddsa => "EdDSA",
        }
    }
}

/// What a server says when it is ready.
#[derive(Deserialize, Serialize)]
pub struct Ready {
    pub port: u16,
    /// What the server is made of, where that is not in this program.
    #[serde(default)]
    pub versions: Vec<String>,
    #[serde(default)]
    pub header: String,
    /// Values of that header that are accepted.
    #[serde(default)]
    pub credentials: Vec<String>,
}

pub fn serve(options: &Options) -> Result<(), Box<dyn Error>> {
    end_with_standard_input();
    let mut builder = match options.threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if options.threads > 1 {
        builder.worker_threads(options.threads);
    }
    builder.enable_all().build()?.block_on(run(options))
}

/// So that no server outlives who started it, however that ended.
fn end_with_standard_input() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
}

async fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let (router, header, credentials) = match options.what {
        What::ApiKey => {
            let (keys, credentials) = api_keys(options.users).await?;
            (guarded().layer(AuthLayer::new(ApiKeyAuthenticator::new(keys))), "x-api-key", credentials)
        }
        what => {
            let (jwks, credentials) = tokens(options)?;
            let auth = AuthLayer::new(jwts(jwks).await?);
            (protected(what, auth), "authorization", credentials)
        }
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
    let port = listener.local_addr()?.port();
    let ready = Ready { port, versions: Vec::new(), header: header.into(), credentials };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(&ready)?)?;
    drop(out);
    // On a worker: the thread that waits here serves only where it is the only one.
    tokio::spawn(async { axum::serve(listener, router).await }).await??;
    Ok(())
}

fn protected<A: Authenticator>(what: What, auth: AuthLayer<A>) -> Router {
    match what {
        What::Open => route(get(ok)),
        What::Noop => route(get(ok)).layer(Identity::new()),
        What::Uncached => guarded().layer(auth.verdict_cache(0)),
        What::Authenticated => route(get(ok)).layer(auth),
        What::Limited => guarded().layer(limit()).layer(auth),
        What::LimitedSilently => guarded().layer(limit().headers(RateLimitHeaders::none())).layer(auth),
        What::Stacked => route(get(ok)).layer((auth, limit(), require_scopes(["todo:read"]))),
        What::Cached | What::ApiKey => guarded().layer(auth),
    }
}

fn guarded() -> Router {
    route(get(ok.layer(require_scopes(["todo:read"]))))
}

fn limit() -> RateLimitLayer {
    RateLimitLayer::per_client(Quota::per_second(ENDLESS).unwrap())
}

fn route(handler: MethodRouter) -> Router {
    Router::new().route("/todo", handler)
}

async fn ok() -> &'static str {
    "ok"
}

/// The keys of the issuer as JSON, and tokens of our own where nobody brings them.
fn tokens(options: &Options) -> Result<(String, Vec<String>), Box<dyn Error>> {
    if let Some(file) = &options.jwks {
        return Ok((std::fs::read_to_string(file)?, Vec::new()));
    }
    let key = Arc::new(SigningKey::generate(options.algorithm.algorithm()));
    let bearer = |index| format!("Bearer {}", fixture::token(&key, ISSUER, index).build());
    Ok((serde_json::json!({"keys": [key.jwk()]}).to_string(), (0..options.users).map(bearer).collect()))
}

/// Keys that are fetched, once, as in production.
async fn jwts(jwks: String) -> Result<JwtAuthenticator, Box<dyn Error>> {
    let http = ScriptedHttpClient::new();
    http.answer(JWKS, jwks);
    let keys = RemoteKeySet::builder(JWKS).http_client(http).build()?;
    keys.warm_up().await?;
    Ok(JwtAuthenticator::builder(Issuer::new(ISSUER, keys), AUDIENCE).build()?)
}

async fn api_keys(users: usize) -> Result<(ApiKeys, Vec<String>), Box<dyn Error>> {
    let keys = ApiKeys::builder("todo_live", MemoryApiKeyStore::new()).build()?;
    let mut texts = Vec::with_capacity(users);
    for index in 0..users {
        let new = NewApiKey::new("load", format!("user-{index}")).scopes(ScopeSet::parse(SCOPE)?);
        texts.push(keys.issue(new).await?.key.expose().to_owned());
    }
    Ok((keys, texts))
}
