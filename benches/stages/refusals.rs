//! What is refused, against a refusal that was written by hand: the same status, fields and extension, all made beforehand.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::task::{Context, Poll};
use std::time::{Instant, UNIX_EPOCH};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::Empty;
use portcullis::test_util::SigningKey;
use portcullis::{Algorithm, AuthError, AuthLayer};
use tower::{Layer, Service};

use crate::common::credentials::{
    api_keys, bearer, forge, jwt, jwt_with_fixed_keys, key, mistype, parts, prepare, token, tokens,
};
use crate::common::services::{Answer, Inner, Open, ask, request, side};
use crate::common::statistics::{Rounds, Side};
use crate::common::table::{Cell, Report};

const ROUNDS: usize = 400;
const REPEAT: usize = 50;
const GOAL: f64 = 2.0;

pub fn run() {
    let mut report = Report::new("refusals");
    let signing = key(Algorithm::RS256);
    let good = tokens(&signing, 200);
    let forged: Vec<HeaderValue> = good.iter().map(forge).collect();
    let expired = |index| token(&signing, index).issued_at(UNIX_EPOCH).build();
    let unknown = |index| token(&signing, index).header("kid", "some-other-key").build();
    let tokens = AuthLayer::new(jwt(&signing)).layer(Inner);
    let (keys, texts) = api_keys(200);
    let keys = AuthLayer::new(keys).layer(Inner);
    let list =
        |make: &dyn Fn(usize) -> String| (0..200).map(|index| bearer(&make(index))).collect::<Vec<_>>();
    let rows = [
        row(
            "malformed token",
            tokens.clone(),
            &list(&|index| format!("q8Zr0wq1G5m7yXb2vN4tLk9pHs3dFj6aCe1iUo-{index}")),
        ),
        row("malformed token, two dots", tokens.clone(), &list(&|index| format!("e30.e30.AAAA{index:04}"))),
        row("expired token", tokens.clone(), &list(&expired)),
        row("unknown key", AuthLayer::new(jwt_with_fixed_keys(&signing)).layer(Inner), &list(&unknown)),
        row("API key, wrong checksum", keys, &texts.iter().map(mistype).collect::<Vec<_>>()),
    ];
    let missing = missing(tokens.clone());
    report.table(
        &format!("refusals: {ROUNDS} rounds of {REPEAT}"),
        &["refused", "ns by hand", "ns", "over the one by hand", "goal"],
        &[vec![missing], rows.into()].concat(),
    );
    forgeries(&mut report, &signing, tokens, &good, &forged);
    report.finish();
}

fn row<S: Open>(name: &str, service: S, credentials: &[HeaderValue]) -> Vec<Cell> {
    let by_hand = ByHand::like(ask(&mut service.clone(), request(Some(&credentials[0]))));
    let rounds = Rounds::run(
        ROUNDS,
        vec![
            made(Some(credentials)),
            side(by_hand, credentials, REPEAT, 401),
            side(service, credentials, REPEAT, 401),
        ],
    );
    // What is malformed is the goal's; the others are read further.
    told(name, &rounds, name.starts_with("malformed"))
}

fn missing<S: Open>(service: S) -> Vec<Cell> {
    let by_hand = ByHand::like(ask(&mut service.clone(), request(None)));
    let rounds = Rounds::run(ROUNDS, vec![made(None), without(by_hand), without(service)]);
    told("no credential", &rounds, true)
}

fn told(name: &str, rounds: &Rounds, has_goal: bool) -> Vec<Cell> {
    let over = rounds.ratio(|round| (round[2] - round[0]) / (round[1] - round[0]));
    let nanos = |side: usize| Cell::number(rounds.median(|round| (round[side] - round[0]) * 1e9), 0);
    let goal = if has_goal { Cell::at_most(GOAL, over.median) } else { Cell::none() };
    vec![Cell::text(name), nanos(1), nanos(2), over.cell(), goal]
}

/// The making of the request alone.
fn made<'a>(credentials: Option<&'a [HeaderValue]>) -> Side<'a> {
    let mut next = 0;
    Box::new(move || {
        let start = Instant::now();
        for _ in 0..REPEAT {
            next += 1;
            drop(black_box(request(credentials.map(|credentials| &credentials[next % credentials.len()]))));
        }
        start.elapsed().as_secs_f64() / REPEAT as f64
    })
}

fn without<'a, S: Open + 'a>(mut service: S) -> Side<'a> {
    Box::new(move || {
        let start = Instant::now();
        for _ in 0..REPEAT {
            assert_eq!(ask(&mut service, request(None)).status(), 401);
        }
        start.elapsed().as_secs_f64() / REPEAT as f64
    })
}

/// Refuses whatever has no field `Authorization` that would do, and nothing does.
#[derive(Clone)]
struct ByHand {
    fields: Vec<(HeaderName, HeaderValue)>,
    error: AuthError,
}

impl ByHand {
    /// The fields of this answer, as constants, and its reason.
    fn like(answer: Answer) -> Self {
        assert_eq!(answer.status(), 401);
        let fixed = |value: &HeaderValue| HeaderValue::from_static(value.to_str().unwrap().to_owned().leak());
        let headers: &HeaderMap = answer.headers();
        Self {
            fields: headers.iter().map(|(name, value)| (name.clone(), fixed(value))).collect(),
            error: answer.extensions().get::<AuthError>().unwrap().clone(),
        }
    }
}

impl Service<Request<()>> for ByHand {
    type Response = Answer;
    type Error = Infallible;
    type Future = Ready<Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let presented = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
        assert_ne!(black_box(presented), Some(&b"Bearer the one that is accepted"[..]));
        let mut response: Response<Empty<Bytes>> = Response::new(Empty::new());
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        for (name, value) in &self.fields {
            response.headers_mut().append(name, value.clone());
        }
        response.extensions_mut().insert(self.error.clone());
        ready(Ok(response))
    }
}

/// Whoever forges has one signature verified for each attempt, which finds out nothing sooner than a good one.
fn forgeries<S: Open>(
    report: &mut Report,
    signing: &SigningKey,
    service: S,
    good: &[HeaderValue],
    forged: &[HeaderValue],
) {
    let prepared = prepare(signing);
    let signatures: Vec<(&[u8], Vec<u8>)> = forged.iter().map(parts).collect();
    let mut next = 0;
    let bare: Side<'_> = Box::new(move || {
        let start = Instant::now();
        for _ in 0..REPEAT {
            next += 1;
            let (message, signature) = &signatures[next % signatures.len()];
            assert!(prepared.verify_sig(black_box(message), black_box(signature)).is_err());
        }
        start.elapsed().as_secs_f64() / REPEAT as f64
    });
    for token in good {
        assert_eq!(ask(&mut service.clone(), request(Some(token))).status(), 200);
    }
    let rounds = Rounds::run(ROUNDS, vec![bare, made(Some(forged)), side(service, forged, REPEAT, 401)]);
    let micros = |side: usize| Cell::number(rounds.median(|round| round[side] * 1e6), 2);
    let over = rounds.ratio(|round| (round[2] - round[1]) / round[0]).cell();
    report.table(
        &format!("a wrong signature (RS256) under the key that it names: {ROUNDS} rounds of {REPEAT}"),
        &["µs bare verification", "µs refusal", "over the bare one"],
        &[vec![micros(0), micros(2), over]],
    );
}
