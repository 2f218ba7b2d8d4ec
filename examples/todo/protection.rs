//! Who judges the callers: whatever the command line names, or a server of the test kit.

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;

use portcullis::test_util::FakeAuthorizationServer;
use portcullis::{
    ApiKeyAuthenticator, ApiKeys, Authenticator, ClientAuth, ClientSecret, IntrospectionAuthenticator,
    IntrospectionAuthenticatorBuilder, Issuer, JwtAuthenticator, JwtAuthenticatorBuilder,
    MemoryClientSecrets, RemoteKeySet, ScopeSet, SignedRequestAuthenticator, SigningClient,
};
use serde::Deserialize;
use url::Url;

use crate::options::Server;

/// Who judges.
pub struct Protection {
    pub authenticator: Box<dyn Authenticator>,
    pub issuer: Option<Issuer>,
    /// Whether about every credential there is somebody who can be asked.
    pub can_ask: bool,
}

/// The server of the test kit, with JWTs and opaque tokens, and the API keys beside it.
pub fn embedded(
    server: &FakeAuthorizationServer,
    options: &Server,
    keys: ApiKeys,
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
    let authenticator = Box::new(jwt.or(opaque).or(api_keys(keys)?));
    Ok(Protection { authenticator, issuer: Some(issuer), can_ask: true })
}

/// Whatever the command line names, side by side.
pub fn real(options: &Server, keys: Option<ApiKeys>) -> Result<Protection, Box<dyn Error>> {
    let (mut kinds, mut issuer, mut can_ask) = (Vec::<Box<dyn Authenticator>>::new(), None, true);
    if options.issuer.is_some() || options.introspect.is_some() {
        let real = real_issuer(options)?;
        let (jwt, opaque) = tokens(options, &real)?;
        can_ask = jwt.is_none() || opaque.is_some();
        let jwt = match (jwt, &opaque) {
            (Some(jwt), Some(opaque)) => Some(jwt.with_introspection(opaque.clone()).build()?),
            (jwt, _) => jwt.map(JwtAuthenticatorBuilder::build).transpose()?,
        };
        kinds.extend(jwt.map(|jwt| -> Box<dyn Authenticator> { Box::new(jwt) }));
        kinds.extend(opaque.map(|opaque| -> Box<dyn Authenticator> { Box::new(opaque) }));
        issuer = Some(real);
    }
    if let Some(keys) = keys {
        kinds.push(Box::new(api_keys(keys)?));
    }
    if let Some(file) = &options.signed_clients {
        kinds.push(Box::new(SignedRequestAuthenticator::new(signing_clients(file)?)));
    }
    // The order does not matter: each credential is judged by whoever recognises it.
    let joined = kinds.into_iter().reduce(|one, other| Box::new(one.or(other)));
    let authenticator = joined.ok_or("nobody is named who judges the callers")?;
    Ok(Protection { authenticator, issuer, can_ask })
}

/// In every way in which a client may send a key.
fn api_keys(keys: ApiKeys) -> Result<ApiKeyAuthenticator, Box<dyn Error>> {
    Ok(ApiKeyAuthenticator::builder(keys).accept_bearer().accept_basic().build()?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignedClient {
    secrets: Vec<String>,
    #[serde(default)]
    scopes: String,
}

fn signing_clients(file: &Path) -> Result<MemoryClientSecrets, Box<dyn Error>> {
    let name = file.display();
    let text = std::fs::read(file).map_err(|error| format!("cannot read {name}: {error}"))?;
    let clients: HashMap<String, SignedClient> = serde_json::from_slice(&text)
        // The place alone: the text of the error may repeat a secret.
        .map_err(|error| format!("{name} has another form, see line {}", error.line()))?;
    let known = MemoryClientSecrets::new();
    for (id, client) in clients {
        let secrets: Vec<_> = client.secrets.iter().map(ClientSecret::new).collect::<Result<_, _>>()?;
        known.put(id, SigningClient::new(secrets, ScopeSet::parse(&client.scopes)?));
    }
    Ok(known)
}

type Tokens = (Option<JwtAuthenticatorBuilder>, Option<IntrospectionAuthenticator>);

fn tokens(options: &Server, issuer: &Issuer) -> Result<Tokens, Box<dyn Error>> {
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
    if jwt.is_none() && opaque.is_none() {
        return Err("--audience is needed with --issuer, unless --introspect is given".into());
    }
    Ok((jwt, opaque))
}

fn real_issuer(options: &Server) -> Result<Issuer, Box<dyn Error>> {
    let id = match (&options.issuer, &options.introspect) {
        (Some(id), _) => id.clone(),
        (None, Some(endpoint)) => {
            let url = Url::parse(endpoint).map_err(|error| format!("--introspect: {error}"))?;
            let id = url.origin().ascii_serialization();
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
    options: &Server,
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
