//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use portcullis::Quota;

/// Where API keys are kept, unless something else is said.
pub const API_KEYS: &str = "sqlite://todo-keys.db";

/// A service for what there is to do. Without arguments it starts an authorization server of its own.
#[derive(Parser)]
pub struct Options {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub server: Server,
    /// Database of API keys: `sqlite://FILE` or `postgres://…` [default, where no other protection is named: sqlite://todo-keys.db]
    #[arg(long, global = true, value_name = "URL")]
    pub api_keys: Option<String>,
}

#[derive(Args)]
pub struct Server {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Issuer of access tokens, found by discovery.
    #[arg(long)]
    pub issuer: Option<String>,
    /// Audience that tokens must be for; may be repeated.
    #[arg(long)]
    pub audience: Vec<String>,
    /// Where the issuer's keys are, in place of discovery.
    #[arg(long, requires = "issuer")]
    pub jwks_uri: Option<String>,
    /// Where to ask about tokens (RFC 7662): about opaque ones always, about JWTs when something is deleted.
    #[arg(long, requires = "client_id", requires = "client_secret")]
    pub introspect: Option<String>,
    /// Who asks there.
    #[arg(long, requires = "introspect")]
    pub client_id: Option<String>,
    /// The secret of who asks there.
    #[arg(long, requires = "introspect")]
    pub client_secret: Option<String>,
    /// Accept tokens with `typ` JWT or without one (Keycloak, Entra ID).
    #[arg(long)]
    pub any_typ: bool,
    /// Allow an issuer over plain http.
    #[arg(long)]
    pub allow_http: bool,
    /// Clients that sign their requests: `{"CLIENT-ID": {"secrets": ["…"], "scopes": "todo:read"}}`.
    #[arg(long, value_name = "FILE")]
    pub signed_clients: Option<PathBuf>,
    /// Requests of each client: `N/SECONDS` or `N/SECONDS:BURST`.
    #[arg(long, default_value = "600/60", value_parser = parse_quota)]
    pub quota: Quota,
    /// A Redis in which several of these servers count together and find what was revoked: `redis://…` or `rediss://…`.
    #[arg(long, value_name = "URL")]
    pub redis: Option<String>,
}

#[derive(Subcommand)]
pub enum Command {
    /// Issue, list and end API keys, beside a server that runs.
    #[command(subcommand)]
    Keys(Keys),
}

#[derive(Subcommand)]
pub enum Keys {
    /// Issue a key, and print it: this once.
    Create {
        /// What it is called.
        #[arg(long)]
        label: String,
        /// What it grants, divided by spaces.
        #[arg(long, default_value = "")]
        scopes: String,
        /// Whose it is; by default it is its own.
        #[arg(long)]
        owner: Option<String>,
        /// A name for the quotas that it gets.
        #[arg(long)]
        plan: Option<String>,
        /// For how long it is good, such as 30d; by default until it is revoked.
        #[arg(long, value_parser = humantime::parse_duration)]
        expires: Option<Duration>,
    },
    /// List keys, the youngest first.
    List {
        /// Only those of this owner.
        #[arg(long)]
        owner: Option<String>,
    },
    /// End a key for good.
    Revoke { id: String },
    /// Issue a key in the place of another one, and print it: this once.
    Rotate {
        id: String,
        /// For how long the old one is good yet.
        #[arg(long, default_value = "24h", value_parser = humantime::parse_duration)]
        grace: Duration,
    },
    /// Refuse a key until it is enabled again.
    Disable { id: String },
    /// Accept a key again that was disabled.
    Enable { id: String },
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
        Some(Ok(burst)) => quota.burst(burst).map_err(|error| error.to_string()),
        Some(Err(_)) => Err(form()),
    }
}
