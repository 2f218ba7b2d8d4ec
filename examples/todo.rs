//! The Pied Piper Todo service: public, optional and protected routes beside each other.
//!
//! `cargo run --example todo` starts it with an authorization server of its own and prints curl lines with real tokens.
//! `cargo run --example todo -- --issuer https://id.example.com --audience https://api.example.com` protects it with yours, and
//! `--introspect URL --client-id ID --client-secret SECRET` lets it ask the issuer: about opaque tokens, and about any token that is
//! used to delete something.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use axum::extract::{Path, State};
use axum::handler::Handler as _;
use axum::routing::{get, put};
use axum::{Json, Router};
use clap::Parser;
use http::StatusCode;
use portcullis::test_util::FakeAuthorizationServer;
use portcullis::{
    AuthError, AuthLayer, Authenticator, ClientAuth, IntrospectionAuthenticator,
    IntrospectionAuthenticatorBuilder, Issuer, JwtAuthenticator, JwtAuthenticatorBuilder, Principal,
    PrincipalId, Quota, RateLimitLayer, RemoteKeySet, problem_json, require_scopes,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;
use url::Url;

#[derive(Parser)]
struct Options {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Issuer of access tokens, found by discovery. Without it and without `--introspect` a server of the test kit is started.
    #[arg(long)]
    issuer: Option<String>,
    /// Audience that tokens must be for; may be repeated.
    #[arg(long)]
    audience: Vec<String>,
    /// Where the issuer's keys are, in place of discovery.
    #[arg(long, requires = "issuer")]
    jwks_uri: Option<String>,
    /// Where to ask about tokens (RFC 7662): about opaque ones always, about JWTs when something is deleted.
    #[arg(long, requires = "client_id", requires = "client_secret")]
    introspect: Option<String>,
    /// Who asks there.
    #[arg(long, requires = "introspect")]
    client_id: Option<String>,
    /// The secret of who asks there.
    #[arg(long, requires = "introspect")]
    client_secret: Option<String>,
    /// Accept tokens with `typ` JWT or without one (Keycloak, Entra ID).
    #[arg(long)]
    any_typ: bool,
    /// Allow an issuer over plain http.
    #[arg(long)]
    allow_http: bool,
    /// Requests of each client: `N/SECONDS` or `N/SECONDS:BURST`.
    #[arg(long, default_value = "600/60", value_parser = parse_quota)]
    quota: Quota,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let logs = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,portcullis=debug".into());
    tracing_subscriber::fmt().with_env_filter(logs).with_writer(std::io::stderr).init();

    // Kept until the end: it stops when dropped.
    let real = options.issuer.is_some() || options.introspect.is_some();
    let embedded = if real { None } else { Some(FakeAuthorizationServer::start().await) };
    let protection = match &embedded {
        Some(server) => embedded_protection(server, &options)?,
        None => real_protection(&options)?,
    };
    if !protection.can_ask {
        tracing::info!("DELETE has the plain guard: no introspection is configured");
    }
    if let Err(error) = protection.issuer.warm_up().await {
        tracing::warn!(%error, "starting without keys; they are fetched when they are needed");
    }

    let app = app(protection, options.quota);
    let listener = TcpListener::bind(options.listen).await?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    if let Some(server) = &embedded {
        print_examples(address, server);
    }
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(stop()).await?;
    Ok(())
}

/// Who judges tokens.
struct Protection {
    authenticator: Box<dyn Authenticator>,
    issuer: Issuer,
    /// Whether there is an authority that can be asked about every token.
    can_ask: bool,
}

/// All routes, with what guards each.
fn app(protection: Protection, quota: Quota) -> Router {
    let auth = AuthLayer::new(protection.authenticator).on_reject(problem_json);
    let mut may_delete = require_scopes(["todo:write"]);
    if protection.can_ask {
        // What is gone is gone: the issuer is asked about this very request.
        may_delete = may_delete.verified_within(Duration::ZERO);
    }
    let protected = Router::new()
        .route("/api/ping", get(ping))
        .route("/whoami", get(whoami))
        // Each guard hangs on its handler, so that it covers exactly that.
        .route(
            "/api/todo",
            get(list.layer(require_scopes(["todo:read"]))).post(create.layer(require_scopes(["todo:write"]))),
        )
        .route(
            "/api/todo/{id}",
            put(change.layer(require_scopes(["todo:write"]))).delete(remove.layer(may_delete)),
        )
        .route_layer(RateLimitLayer::per_client(quota))
        // The last layer runs first.
        .route_layer(auth.clone());
    let public = Router::new().route("/public", get(greet)).route_layer(auth.optional());
    Router::new().route("/ping", get(ping)).merge(public).merge(protected).with_state(Todos::default())
}

async fn ping() -> &'static str {
    "pong\n"
}

async fn greet(caller: Option<Principal>) -> String {
    let name = caller.as_ref().and_then(Principal::subject).unwrap_or("visitor");
    format!("hello, {name}\n")
}

async fn whoami(caller: Principal) -> Json<Value> {
    let expires_at = caller.expires_at().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Json(json!({
        "subject": caller.subject(),
        "client_id": caller.client_id(),
        "scopes": caller.scopes().iter().collect::<Vec<_>>(),
        "method": caller.method(),
        "issuer": caller.issuer(),
        "expires_at": expires_at.map(|since| since.as_secs()),
    }))
}

async fn list(State(todos): State<Todos>, caller: Principal) -> Result<Json<Value>, AuthError> {
    todos.of(&caller, |own| {
        Json(own.iter().map(|(id, text)| json!({"id": id, "text": text})).collect::<Vec<_>>().into())
    })
}

async fn create(
    State(todos): State<Todos>,
    caller: Principal,
    text: String,
) -> Result<(StatusCode, Json<Value>), AuthError> {
    todos.of(&caller, |own| {
        let id = own.keys().next_back().map_or(1, |last| last.saturating_add(1));
        own.insert(id, text.clone());
        (StatusCode::CREATED, Json(json!({"id": id, "text": text})))
    })
}

async fn change(
    State(todos): State<Todos>,
    Path(id): Path<u64>,
    caller: Principal,
    text: String,
) -> Result<StatusCode, AuthError> {
    todos.of(&caller, |own| match own.get_mut(&id) {
        Some(entry) => {
            *entry = text;
            StatusCode::NO_CONTENT
        }
        None => StatusCode::NOT_FOUND,
    })
}

async fn remove(
    State(todos): State<Todos>,
    Path(id): Path<u64>,
    caller: Principal,
) -> Result<StatusCode, AuthError> {
    todos.of(&caller, |own| own.remove(&id).map_or(StatusCode::NOT_FOUND, |_| StatusCode::NO_CONTENT))
}

/// What everybody has to do, apart for each caller.
#[derive(Clone, Default)]
struct Todos(Arc<Mutex<HashMap<PrincipalId, BTreeMap<u64, String>>>>);

impl Todos {
    fn of<T>(
        &self,
        caller: &Principal,
        work: impl FnOnce(&mut BTreeMap<u64, String>) -> T,
    ) -> Result<T, AuthError> {
        // A credential that names nobody owns nothing.
        let owner = caller.require_id()?;
        let mut todos = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(work(todos.entry(owner).or_default()))
    }
}

/// The server of the test kit: JWTs and opaque tokens.
fn embedded_protection(
    server: &FakeAuthorizationServer,
    options: &Options,
) -> Result<Protection, Box<dyn Error>> {
    let issuer = server.issuer();
    let client =
        ClientAuth::basic(FakeAuthorizationServer::CLIENT_ID, FakeAuthorizationServer::CLIENT_SECRET);
    let mut audiences = options.audience.clone();
    if audiences.is_empty() {
        audiences.push(FakeAuthorizationServer::AUDIENCE.to_owned());
    }
    let opaque = opaque(IntrospectionAuthenticator::builder(issuer.clone(), client), &audiences).build()?;
    let jwt = jwt(issuer.clone(), options, &audiences)?.with_introspection(opaque.clone()).build()?;
    Ok(Protection { authenticator: Box::new(jwt.or(opaque)), issuer, can_ask: true })
}

/// Whatever the command line names: JWTs, introspection, or both.
fn real_protection(options: &Options) -> Result<Protection, Box<dyn Error>> {
    let issuer = real_issuer(options)?;
    let audiences = &options.audience;
    let jwt = match audiences.is_empty() || options.issuer.is_none() {
        true => None,
        false => Some(jwt(issuer.clone(), options, audiences)?),
    };
    let opaque = match (&options.introspect, &options.client_id, &options.client_secret) {
        (Some(url), Some(id), Some(secret)) => {
            let mut builder =
                IntrospectionAuthenticator::builder(issuer.clone(), ClientAuth::basic(id, secret));
            builder = opaque(builder.endpoint(url), audiences);
            if options.allow_http {
                builder = builder.allow_http();
            }
            // With nobody else to judge JWTs, the issuer does.
            Some(if jwt.is_none() { builder.introspect_jwts() } else { builder }.build()?)
        }
        _ => None,
    };
    let can_ask = opaque.is_some();
    let authenticator: Box<dyn Authenticator> = match (jwt, opaque) {
        (Some(jwt), Some(opaque)) => Box::new(jwt.with_introspection(opaque.clone()).build()?.or(opaque)),
        (Some(jwt), None) => Box::new(jwt.build()?),
        (None, Some(opaque)) => Box::new(opaque),
        (None, None) => return Err("--audience is needed with --issuer, unless --introspect is given".into()),
    };
    Ok(Protection { authenticator, issuer, can_ask })
}

fn real_issuer(options: &Options) -> Result<Issuer, Box<dyn Error>> {
    let id = match (&options.issuer, &options.introspect) {
        (Some(id), _) => id.clone(),
        (None, Some(endpoint)) => {
            let id = Url::parse(endpoint)?.origin().ascii_serialization();
            tracing::info!(
                issuer = id,
                "no --issuer: taking the origin of the introspection endpoint for it"
            );
            id
        }
        (None, None) => return Err("no issuer".into()),
    };
    let mut keys = match &options.jwks_uri {
        Some(uri) => RemoteKeySet::builder(uri),
        None => RemoteKeySet::discover(&id),
    };
    if options.allow_http {
        keys = keys.allow_http();
    }
    Ok(Issuer::new(id, keys.build()?))
}

fn jwt(
    issuer: Issuer,
    options: &Options,
    audiences: &[String],
) -> Result<JwtAuthenticatorBuilder, Box<dyn Error>> {
    let (first, others) = audiences.split_first().ok_or("no audience")?;
    let mut jwt = JwtAuthenticator::builder(issuer, first);
    for audience in others {
        jwt = jwt.audience(audience);
    }
    Ok(if options.any_typ { jwt.accept_typ_jwt() } else { jwt })
}

fn opaque(
    builder: IntrospectionAuthenticatorBuilder,
    audiences: &[String],
) -> IntrospectionAuthenticatorBuilder {
    audiences.iter().fold(builder, IntrospectionAuthenticatorBuilder::audience)
}

fn parse_quota(text: &str) -> Result<Quota, String> {
    let form = || "expected N/SECONDS or N/SECONDS:BURST".to_owned();
    let (count, rest) = text.split_once('/').ok_or_else(form)?;
    let (seconds, burst) =
        rest.split_once(':').map_or((rest, None), |(seconds, burst)| (seconds, Some(burst)));
    let count = count.parse().map_err(|_| form())?;
    let seconds = seconds.parse().map_err(|_| form())?;
    let quota = Quota::new(count, Duration::from_secs(seconds)).map_err(|error| error.to_string())?;
    match burst.map(str::parse::<u32>) {
        None => Ok(quota),
        Some(Ok(burst)) if burst > 0 => Ok(quota.burst(burst)),
        Some(_) => Err(form()),
    }
}

fn print_examples(address: SocketAddr, server: &FakeAuthorizationServer) {
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
