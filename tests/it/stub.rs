//! An authenticator without tokens and keys, for tests of the layers; and what reads their answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderName, HeaderValue, Request, Response};
use portcullis::test_util::ManualClock;
use portcullis::{
    AuthError, AuthFuture, Authenticator, Challenge, Clock, Credential, Match, Presentation, Principal,
    RequestContext, ScopeSet, Verdict,
};
use tower::ServiceExt as _;

type Judge = dyn Fn(&str) -> Result<Principal, AuthError> + Send + Sync;

/// Takes a secret for a subject with scopes behind `~`, in which `.` stands for `:`: `ann~todo.read`. Refuses `bad`, cannot judge
/// `busy`. Its method tells who judged; a claim `tenant` repeats the subject.
pub(crate) struct Stub {
    judge: Arc<Judge>,
    form: fn(&str) -> Match,
    presentation: Presentation,
    challenge: Challenge,
    boxed: bool,
    clock: Option<ManualClock>,
    asked: Arc<AtomicUsize>,
}

impl Stub {
    pub(crate) fn new(method: &'static str) -> Self {
        Self::judging(move |secret| {
            let (subject, scopes) = secret.split_once('~').unwrap_or((secret, ""));
            match subject {
                "bad" => Err(AuthError::invalid_token("bad")),
                "busy" => Err(AuthError::unavailable(Duration::from_secs(5))),
                _ => Ok(Principal::builder(method)
                    .subject(subject)
                    .scopes(ScopeSet::parse(&scopes.replace('~', " ").replace('.', ":")).unwrap())
                    .claims(serde_json::json!({ "tenant": subject }).to_string())
                    .build()),
            }
        })
    }

    pub(crate) fn judging(
        judge: impl Fn(&str) -> Result<Principal, AuthError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            judge: Arc::new(judge),
            form: |_| Match::Generic,
            presentation: Presentation::BEARER,
            challenge: Challenge::bearer(),
            boxed: false,
            clock: None,
            asked: Arc::default(),
        }
    }

    pub(crate) fn form(self, form: fn(&str) -> Match) -> Self {
        Self { form, ..self }
    }

    pub(crate) fn reads(self, presentation: Presentation, challenge: Challenge) -> Self {
        Self { presentation, challenge, ..self }
    }

    /// Reads `X-API-Key`.
    pub(crate) fn api_key(self) -> Self {
        let name = HeaderName::from_static("x-api-key");
        self.reads(Presentation::header(name, "ApiKey"), Challenge::new("ApiKey"))
    }

    /// Answers the slow way, from a future that is not ready at first.
    pub(crate) fn boxed(self) -> Self {
        Self { boxed: true, ..self }
    }

    /// Goes by this clock.
    pub(crate) fn clock(self, clock: &ManualClock) -> Self {
        Self { clock: Some(clock.clone()), ..self }
    }

    /// Counts how often it was asked to judge.
    pub(crate) fn asked(&self) -> Asked {
        Asked(Arc::clone(&self.asked))
    }
}

impl Authenticator for Stub {
    fn recognizes(&self, credential: &Credential<'_>) -> Match {
        (self.form)(credential.expose())
    }

    fn authenticate(&self, credential: &Credential<'_>, _context: &RequestContext<'_>) -> AuthFuture {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let verdict = (self.judge)(credential.expose()).map(Verdict::once);
        if !self.boxed {
            return AuthFuture::ready(verdict);
        }
        AuthFuture::boxed(async {
            tokio::task::yield_now().await;
            verdict
        })
    }

    fn presentations(&self) -> Vec<Presentation> {
        vec![self.presentation.clone()]
    }

    fn challenges(&self) -> Vec<Challenge> {
        vec![self.challenge.clone()]
    }

    fn clock(&self) -> Option<Arc<dyn Clock>> {
        self.clock.clone().map(|clock| -> Arc<dyn Clock> { Arc::new(clock) })
    }
}

pub(crate) struct Asked(Arc<AtomicUsize>);

impl Asked {
    pub(crate) fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A request with these header lines; a name may stand twice.
pub(crate) fn request<B>(lines: &[(&'static str, &str)], body: B) -> Request<B> {
    let mut request = Request::new(body);
    for (name, value) in lines {
        request.headers_mut().append(*name, HeaderValue::from_str(value).unwrap());
    }
    request
}

/// Sends `METHOD /path` to a router, with a bearer credential or without any.
pub(crate) async fn ask(router: &Router, line: &str, secret: impl Into<Option<&str>>) -> Response<Body> {
    let (method, uri) = line.split_once(' ').unwrap();
    let lines = secret.into().map(|secret| format!("Bearer {secret}"));
    let lines: Vec<_> = lines.iter().map(|value| ("authorization", value.as_str())).collect();
    let mut request = request(&lines, Body::empty());
    *request.method_mut() = method.parse().unwrap();
    *request.uri_mut() = uri.parse().unwrap();
    router.clone().oneshot(request).await.unwrap()
}

pub(crate) async fn text(response: Response<Body>) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// One header as text.
pub(crate) fn header<'r, B>(response: &'r Response<B>, name: &str) -> Option<&'r str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

/// The challenges, read by a parser that is not ours: one a field line, never a bare scheme, each parameter once.
pub(crate) fn challenges<B>(response: &Response<B>) -> Vec<(String, BTreeMap<String, String>)> {
    let lines = response.headers().get_all("www-authenticate").iter();
    lines
        .map(|line| {
            let mut parsed = http_auth::parse_challenges(line.to_str().unwrap()).unwrap();
            assert_eq!(parsed.len(), 1, "{line:?} holds several challenges");
            let challenge = parsed.remove(0);
            assert!(!challenge.params.is_empty(), "{line:?} is a bare scheme (RFC 6750 §3)");
            let params: BTreeMap<String, String> = challenge
                .params
                .iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_unescaped()))
                .collect();
            assert_eq!(params.len(), challenge.params.len(), "{line:?} repeats a parameter");
            (challenge.scheme.to_owned(), params)
        })
        .collect()
}

/// The challenges in short: `Bearer` or `Bearer invalid_token`.
pub(crate) fn offers<B>(response: &Response<B>) -> Vec<String> {
    let short = |(scheme, params): (String, BTreeMap<String, String>)| match params.get("error") {
        Some(error) => format!("{scheme} {error}"),
        None => {
            assert!(!params.contains_key("error_description"), "a description without an error");
            scheme
        }
    };
    challenges(response).into_iter().map(short).collect()
}
