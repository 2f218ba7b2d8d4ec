//! A Redis that is reached over TLS, with a certificate by a private authority.

use std::path::PathBuf;
use std::time::Duration;

use portcullis::{
    Charge, ConfigError, Quota, Quotas, RateKey, RateLimitStore as _, Redis, RedisRateLimits, StoreError,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::redis::Redis as Server;

/// A server for `localhost`, and the certificate of its authority.
struct Tls {
    server: Server,
    authority: String,
    folder: PathBuf,
}

impl Tls {
    fn start(name: &str) -> Option<Self> {
        let authority_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&authority_key).unwrap().pem();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()])
            .unwrap()
            .signed_by(&key, &Issuer::from_params(&params, &authority_key))
            .unwrap();
        let folder = std::env::temp_dir().join(format!("portcullis-tls-{name}-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let files = [("cert", certificate.pem()), ("key", key.serialize_pem()), ("ca", authority.clone())];
        let paths = files.map(|(name, pem)| {
            let path = folder.join(name);
            std::fs::write(&path, pem).unwrap();
            path.to_str().unwrap().to_owned()
        });
        let [certificate, key, root] = &paths;
        let Some(server) = Server::start_with(&["--tls", certificate, key, root]) else {
            std::fs::remove_dir_all(&folder).unwrap();
            return None;
        };
        Some(Self { server, authority, folder })
    }

    fn url(&self, scheme: &str, host: &str) -> String {
        self.server.url().replace("redis://127.0.0.1", &format!("{scheme}://{host}"))
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn granted(redis: Redis) -> Result<u32, StoreError> {
    let quotas = Quotas::from(Quota::per_minute(10).unwrap());
    let charge = Charge::new(RateKey::of(&["ann"]), quotas.as_slice(), 1);
    let limits = RedisRateLimits::new(redis).deadline(Duration::from_secs(5));
    limits.charge(&charge).answer().await.map(|standing| standing.granted())
}

#[tokio::test]
async fn a_server_is_reached_whose_authority_is_known_and_no_other() {
    let (Some(tls), Some(other)) = (Tls::start("one"), Tls::start("other")) else { return };
    let url = tls.url("rediss", "localhost");
    let known = Redis::open_with_root_certificates(&url, tls.authority.as_bytes()).unwrap();
    assert_eq!(granted(known).await.unwrap(), 1);
    // Another authority, that of the platform, another name, and no TLS.
    let stranger = Redis::open_with_root_certificates(&url, other.authority.as_bytes()).unwrap();
    let misnamed = tls.url("rediss", "127.0.0.1");
    let misnamed = Redis::open_with_root_certificates(&misnamed, tls.authority.as_bytes()).unwrap();
    let plain = Redis::open(&tls.url("redis", "localhost")).unwrap();
    for refused in [stranger, Redis::open(&url).unwrap(), misnamed, plain] {
        granted(refused).await.unwrap_err();
    }
}

#[test]
fn certificates_are_read_beforehand_and_for_tls_alone() {
    let open = |url, pem: &str| Redis::open_with_root_certificates(url, pem.as_bytes());
    let pem = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap().cert.pem();
    assert!(open("rediss://localhost", &pem).is_ok());
    for (url, pem) in [
        ("redis://localhost", &*pem),
        ("rediss://", &pem),
        ("rediss://localhost", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
    ] {
        assert!(matches!(open(url, pem), Err(ConfigError::Setting { setting: "Redis", .. })), "{url} {pem}");
    }
}
