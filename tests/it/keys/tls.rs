//! Keys over TLS, from a server whose certificate a private authority issued.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use portcullis::test_util::SigningKey;
use portcullis::{AuthLayer, ConfigError, Issuer, JwtAuthenticator, Reason, RemoteKeySet, ReqwestClient};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer as Authority, KeyPair};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{ACCEPTED, Answer, document, es256, unavailable};
use crate::support::{AUDIENCE, ISSUER, bearer, outcome, send, token};

struct TlsServer {
    port: u16,
    /// The certificate of its authority.
    authority: String,
    asked: Arc<AtomicUsize>,
    key: Arc<SigningKey>,
}

impl TlsServer {
    /// Serves a key set, with a certificate for `name`.
    async fn start(name: &str) -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&authority_key).unwrap().pem();
        let server_key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()])
            .unwrap()
            .signed_by(&server_key, &Authority::from_params(&params, &authority_key))
            .unwrap();
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            authority,
            asked: Arc::default(),
            key: es256(),
        };
        let (body, asked) = (document(&[&server.key]), Arc::clone(&server.asked));
        tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), body, asked));
        server
    }

    /// Asks with a good token, at `host`; tells the answer and why the keys could not be had.
    async fn ask(&self, host: &str, client: Option<ReqwestClient>) -> (Answer, String) {
        let builder = RemoteKeySet::builder(format!("https://{host}:{}/keys", self.port));
        let builder = match client {
            Some(client) => builder.http_client(client),
            None => builder,
        };
        let keys = builder.build().unwrap();
        let issuer = Issuer::new(ISSUER, keys.clone());
        let layer = AuthLayer::new(JwtAuthenticator::builder(issuer, AUDIENCE).build().unwrap());
        let answer = outcome(&send(&layer, bearer(&token(&self.key).build())).await);
        (answer, keys.status().last_error.unwrap_or_default())
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, body: String, asked: Arc<AtomicUsize>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (tls, body, asked) = (tls.clone(), body.clone(), Arc::clone(&asked));
        tokio::spawn(async move {
            // A client that does not trust the certificate ends here.
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = service_fn(|_| {
                asked.fetch_add(1, Ordering::SeqCst);
                let answer = Response::new(Full::new(Bytes::from(body.clone())));
                async { Ok::<_, std::convert::Infallible>(answer) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

const UNAVAILABLE: Answer = unavailable(Reason::KeysUnavailable);

#[tokio::test]
async fn a_certificate_of_a_named_authority_is_accepted_and_any_other_refused() {
    let (server, other) = (TlsServer::start("localhost").await, TlsServer::start("localhost").await);
    let trusting =
        |server: &TlsServer| ReqwestClient::with_root_certificates(server.authority.as_bytes()).unwrap();
    // The platform's authorities do not know this one.
    for client in [None, Some(ReqwestClient::new().unwrap()), Some(trusting(&other))] {
        let (answer, error) = server.ask("localhost", client).await;
        assert_eq!(answer, UNAVAILABLE);
        assert!(error.contains("certificate"), "{error}");
    }
    assert_eq!(server.asked(), 0, "nothing was asked over a connection that is not trusted");
    assert_eq!(server.ask("localhost", Some(trusting(&server))).await, (ACCEPTED, String::new()));
    assert_eq!(server.asked(), 1);
    let bundle = format!("{}\n{}", other.authority, server.authority);
    let client = ReqwestClient::with_root_certificates(bundle.as_bytes()).unwrap();
    assert_eq!(server.ask("localhost", Some(client)).await.0, ACCEPTED);
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let server = TlsServer::start("id.example").await;
    let client = ReqwestClient::with_root_certificates(server.authority.as_bytes()).unwrap();
    let (answer, error) = server.ask("localhost", Some(client)).await;
    assert_eq!((answer, server.asked()), (UNAVAILABLE, 0));
    assert!(error.contains("certificate"), "{error}");
    let server = TlsServer::start("localhost").await;
    let client = ReqwestClient::with_root_certificates(server.authority.as_bytes()).unwrap();
    assert_eq!(server.ask("localhost", Some(client.clone())).await.0, ACCEPTED);
    assert_eq!(server.ask("127.0.0.1", Some(client)).await.0, UNAVAILABLE);
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn plain_http_at_a_tls_port_is_a_failure() {
    let server = TlsServer::start("localhost").await;
    let address = format!("http://localhost:{}/keys", server.port);
    assert!(RemoteKeySet::builder(&address).build().is_err());
    let keys = RemoteKeySet::builder(&address).allow_http().build().unwrap();
    assert!(keys.refresh().await.is_err());
    assert_eq!(server.asked(), 0);
}

#[test]
fn certificates_that_cannot_be_read_are_reported() {
    let pem = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap().cert.pem();
    assert!(ReqwestClient::with_root_certificates(pem.as_bytes()).is_ok());
    let cut = &pem[..pem.len() / 2];
    let garbled = pem.replacen("MII", "!!!", 1);
    let key = KeyPair::generate().unwrap().serialize_pem();
    // A file without any certificate is a mistake too: nothing would be trusted that was meant to be.
    for bad in ["", "no certificate", cut, garbled.as_str(), key.as_str()] {
        let error = ReqwestClient::with_root_certificates(bad.as_bytes()).unwrap_err();
        assert!(matches!(error, ConfigError::HttpClient(_)), "{bad}");
    }
}
