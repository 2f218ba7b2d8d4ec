//! An operator reads the name, the value and the rule of a wrong setting, and never a secret.

use std::time::Duration;

use portcullis::{
    Algorithm, ApiKeyAuthenticator, ApiKeyAuthenticatorBuilder, ApiKeys, ClientAuth, ClientSecret,
    ConfigError, IntrospectionAuthenticator, IntrospectionAuthenticatorBuilder, Issuer, JwtAuthenticator,
    MemoryApiKeyStore, MemoryClientSecrets, Redis, RemoteKeySet, SealingKeys, SignedRequestAuthenticator,
    SignedRequestAuthenticatorBuilder,
};

use crate::support::{AUDIENCE, ISSUER, issuer_of, key};

type Built = Result<(), ConfigError>;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn prefix(prefix: &str) -> Built {
    ApiKeys::builder(prefix, MemoryApiKeyStore::new()).build().map(drop)
}

fn api_keys(configure: fn(ApiKeyAuthenticatorBuilder) -> ApiKeyAuthenticatorBuilder) -> Built {
    let keys = ApiKeys::builder("todo_live", MemoryApiKeyStore::new()).build().unwrap();
    configure(ApiKeyAuthenticator::builder(keys)).build().map(drop)
}

fn signed(configure: fn(SignedRequestAuthenticatorBuilder) -> SignedRequestAuthenticatorBuilder) -> Built {
    configure(SignedRequestAuthenticator::builder(MemoryClientSecrets::new())).build().map(drop)
}

fn opaque(configure: fn(IntrospectionAuthenticatorBuilder) -> IntrospectionAuthenticatorBuilder) -> Built {
    let builder = IntrospectionAuthenticator::builder(issuer(), ClientAuth::basic("id", "secret"));
    configure(builder.endpoint("https://id.example/introspect")).build().map(drop)
}

fn jwt(leeway: Duration, audience: &str) -> Built {
    JwtAuthenticator::builder(issuer(), audience).leeway(leeway).build().map(drop)
}

fn issuers(other: &str) -> Built {
    let other = Issuer::new(other, RemoteKeySet::builder("https://id.example/keys").build().unwrap());
    JwtAuthenticator::builder(issuer(), AUDIENCE).issuer(other).build().map(drop)
}

fn issuer() -> Issuer {
    issuer_of(&[&key(Algorithm::ES256)])
}

#[test]
fn wrong_setting_is_named_with_its_value() {
    let keys = || RemoteKeySet::builder("https://id.example/keys");
    let twice = format!("`issuer` is `{ISSUER}`: must not be listed twice");
    let five_minutes = "`leeway` is `301s`: must not be longer than 5 minutes";
    for (wrong, expected, right) in [
        (
            keys().timeout(Duration::ZERO).build().map(drop),
            "`timeout` is `0ns`: must be greater than zero",
            keys().timeout(seconds(1)).build().map(drop),
        ),
        (
            keys().fresh_for(Duration::ZERO).build().map(drop),
            "`fresh_for` is `0ns`: must be greater than zero",
            keys().fresh_for(seconds(1)).build().map(drop),
        ),
        (
            keys().rsa_algorithm(Algorithm::ES256).build().map(drop),
            "`rsa_algorithm` is `ES256`: must be an algorithm of RSA keys",
            keys().rsa_algorithm(Algorithm::PS256).build().map(drop),
        ),
        (jwt(seconds(301), AUDIENCE), five_minutes, jwt(seconds(300), AUDIENCE)),
        (jwt(seconds(1), ""), "`audience`: must not be empty", jwt(seconds(1), "a")),
        (issuers(ISSUER), &twice, issuers("https://other.example")),
        (opaque(|it| it.leeway(seconds(301))), five_minutes, opaque(|it| it.leeway(seconds(300)))),
        (
            opaque(|it| it.timeout(Duration::ZERO)),
            "`timeout` is `0ns`: must be greater than zero",
            opaque(|it| it.timeout(seconds(1))),
        ),
        (
            api_keys(|it| it.reuse_for(seconds(3601))),
            "`reuse_for` is `3601s`: must not be longer than an hour",
            api_keys(|it| it.reuse_for(seconds(3600))),
        ),
        (
            api_keys(|it| it.refuse_for(seconds(3601))),
            "`refuse_for` is `3601s`: must not be longer than an hour",
            api_keys(|it| it.refuse_for(seconds(3600))),
        ),
        (
            api_keys(|it| it.timeout(Duration::ZERO)),
            "`timeout` is `0ns`: must be greater than zero",
            api_keys(|it| it.timeout(seconds(1))),
        ),
        (
            signed(|it| it.window(seconds(301))),
            "`window` is `301s`: must be greater than zero, and not longer than 5 minutes",
            signed(|it| it.window(seconds(300))),
        ),
        (
            signed(|it| it.timeout(seconds(11))),
            "`timeout` is `11s`: must be greater than zero, and not longer than 10 seconds",
            signed(|it| it.timeout(seconds(10))),
        ),
        (
            prefix("todo\n"),
            "`prefix` is `todo\\n`: expected 2 to 32 of a-z, 0-9 and _, a letter first and no _ at the end",
            prefix("todo"),
        ),
    ] {
        assert_eq!(wrong.unwrap_err().to_string(), expected);
        assert_eq!(right, Ok(()), "{expected}");
    }
}

#[test]
fn wrong_secret_is_not_repeated() {
    let asks = |client| {
        let builder = IntrospectionAuthenticator::builder(issuer(), client);
        builder.endpoint("https://id.example/introspect").build().map(drop)
    };
    let peppered = |name, pepper| {
        ApiKeys::builder("todo_live", MemoryApiKeyStore::new()).pepper(name, pepper).build().map(drop)
    };
    let long = "sesame".repeat(6);
    for (wrong, right) in [
        (asks(ClientAuth::basic("id", "sesame\n")), asks(ClientAuth::basic("id", "sesame"))),
        // Swapped, which nobody notices before a secret with a line end.
        (asks(ClientAuth::basic("sesame\n", "id")), asks(ClientAuth::basic("sesame", "id"))),
        (asks(ClientAuth::post("id", "sesame\n")), asks(ClientAuth::post("id", "sesame"))),
        (asks(ClientAuth::bearer("sesame\n")), asks(ClientAuth::bearer("sesame"))),
        (ClientSecret::new("sesame").map(drop), ClientSecret::new(&long).map(drop)),
        (peppered("2026", "sesame"), peppered("2026", &long)),
        (peppered(&format!("{long}\n"), &long), peppered(&long, &long)),
        (SealingKeys::new("a", "sesame").map(drop), SealingKeys::new("a", &long[..32]).map(drop)),
        (Redis::open("redis://:sesame@[::1").map(drop), Redis::open("redis://:sesame@[::1]").map(drop)),
    ] {
        let error = wrong.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains("sesame"), "{text}");
        assert_eq!(right, Ok(()), "{text}");
    }
}
