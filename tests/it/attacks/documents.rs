//! Rows 43 and 44: sets of keys that are odd, huge or slow.

use std::time::Duration;

use portcullis::test_util::{FakeAuthorizationServer, Fault, ScriptedHttpClient};
use portcullis::{Algorithm, KeySet, Reason, RemoteKeySet};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{JWKS_URI, PASSED, answer, jwks, remote, unavailable};
use crate::support::{ISSUER, key, token};

#[tokio::test]
async fn row_43_one_odd_key_spoils_nothing() {
    let signer = key(Algorithm::ES256);
    let depth = 2000;
    let jwk = signer.jwk().to_string();
    for odd in [
        "null",
        "1",
        "\"key\"",
        "[]",
        "{}",
        r#"{"kty":"RSA"}"#,
        r#"{"kty":"EC","crv":"P-256"}"#,
        r#"{"kty":"OKP","crv":"X25519","x":"AAAA"}"#,
        r#"{"kty":"AKP","alg":"ML-DSA-44","pub":"AAAA"}"#,
        r#"{"kty":1}"#,
        r#"{"kty":"EC","kid":7}"#,
        r#"{"kty":"RSA","n":"not base64!","e":"AQAB"}"#,
        r#"{"kty":"RSA","n":null,"e":65537}"#,
        r#"{"kty":"EC","kty":"EC"}"#,
        r#"{"kty":"\ud800"}"#,
        r#"{"kty":"RSA","key_ops":[[[]]]}"#,
        &format!(r#"{{"x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth)),
        &format!(r#"{{"d":{}{}}}"#, "[".repeat(depth), "]".repeat(depth)),
        &format!(r#"{{"kid":"{}"}}"#, "k".repeat(10_000)),
    ] {
        for document in
            [format!(r#"{{"keys":[{odd},{jwk}]}}"#), format!(r#"{{"keys":[{jwk},{odd}],"more":1}}"#)]
        {
            let http = ScriptedHttpClient::new();
            http.answer(JWKS_URI, document);
            let layer = remote(ISSUER, RemoteKeySet::builder(JWKS_URI).http_client(http.clone()));
            assert_eq!(answer(&layer, &token(&signer).build()).await, PASSED, "{odd:.60}");
            assert_eq!(http.total(), 1);
        }
        assert!(KeySet::parse(format!(r#"{{"keys":[{odd}]}}"#)).is_err(), "{odd:.60} is no key by itself");
    }
}

#[tokio::test]
async fn row_44_documents_are_bounded_in_bytes_and_keys() {
    let signer = key(Algorithm::Ed25519);
    let padded = |bytes: usize| {
        let document = jwks([signer.jwk()]);
        let padding = bytes - document.len();
        document + &" ".repeat(padding)
    };
    let jwk = signer.jwk().to_string();
    let of = |number: usize| format!(r#"{{"keys":[{}]}}"#, vec![&*jwk; number].join(","));
    let server = FakeAuthorizationServer::start().await;
    for (case, document, expected) in [
        ("256 KiB", padded(256 * 1024), PASSED),
        ("a byte more", padded(256 * 1024 + 1), unavailable(Reason::KeysUnavailable)),
        ("100 MB", padded(100_000_000), unavailable(Reason::KeysUnavailable)),
        ("100 keys", of(100), PASSED),
        ("101 keys", of(101), unavailable(Reason::KeysUnavailable)),
    ] {
        let before = server.counts().jwks;
        server.set_fault(Fault::Body(document));
        let layer = remote(ISSUER, RemoteKeySet::builder(server.jwks_uri()).allow_http());
        assert_eq!(answer(&layer, &token(&signer).build()).await, expected, "{case}");
        assert_eq!(server.counts().jwks, before + 1, "{case}");
    }
    assert!(KeySet::parse(of(100_000)).is_err());
    assert!(KeySet::parse(format!(r#"{{"keys":[{}{{}}]}}"#, "{},".repeat(1_000_000))).is_err());
}

/// A server that gives its keys away byte by byte; the watch tells when its peer has had enough.
async fn dripping(document: String, pause: Duration) -> (String, watch::Receiver<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    let (hung_up, watched) = watch::channel(false);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await.unwrap();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", document.len());
        let _ = stream.write_all(head.as_bytes()).await;
        for byte in document.bytes() {
            if stream.write_all(&[byte]).await.is_err() {
                hung_up.send_replace(true);
                return;
            }
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
    });
    (url, watched)
}

#[tokio::test]
async fn row_44_a_slow_drip_is_cut_off_as_a_whole() {
    let signer = key(Algorithm::Ed25519);
    for (pause, expected) in [(10, unavailable(Reason::KeysUnavailable)), (0, PASSED)] {
        let document = jwks([signer.jwk()]) + &" ".repeat(200 * pause);
        let (url, mut hung_up) = dripping(document, Duration::from_millis(pause as u64)).await;
        let keys = RemoteKeySet::builder(url).allow_http().timeout(Duration::from_secs(2));
        let layer = remote(ISSUER, keys);
        assert_eq!(answer(&layer, &token(&signer).build()).await, expected);
        if expected != PASSED {
            hung_up.wait_for(|hung_up| *hung_up).await.unwrap();
        }
    }
}

#[tokio::test]
async fn row_44_an_endless_document_is_cut_off_as_it_comes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    let endless = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await.unwrap();
        // Neither a length nor chunks: the body lasts as long as the connection.
        let mut sent = stream.write(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while sent < 1 << 28 {
            match stream.write(&[b' '; 1 << 16]).await {
                Ok(written) => sent += written,
                Err(_) => break,
            }
        }
        sent
    });
    let layer = remote(ISSUER, RemoteKeySet::builder(url).allow_http());
    let token = token(&key(Algorithm::Ed25519)).build();
    assert_eq!(answer(&layer, &token).await, unavailable(Reason::KeysUnavailable));
    // More than the limit only by what the two sockets hold.
    let sent = endless.await.unwrap();
    assert!(sent < 1 << 25, "{sent} bytes");
}
