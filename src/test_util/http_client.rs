//! HTTP without a network.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};

use crate::http_client::{HttpClient, HttpError, HttpFuture, Limits};

/// An HTTP client that answers from a script, and counts what it was asked. Clones share both.
///
/// A URL without an answer cannot be reached.
#[derive(Clone, Debug, Default)]
pub struct ScriptedHttpClient(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    answers: HashMap<String, Answer>,
    delay: Duration,
    /// How often, by URL.
    asked: HashMap<String, usize>,
}

type Answer = Arc<dyn Fn(&Request<Bytes>) -> Result<Response<Bytes>, HttpError> + Send + Sync>;

impl ScriptedHttpClient {
    /// A client that reaches nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on answers 200 with this body at this URL.
    pub fn answer(&self, url: impl Into<String>, body: impl Into<Bytes>) {
        self.answer_with(url, Response::new(body.into()));
    }

    /// From now on answers with an empty body and this status at this URL.
    pub fn answer_status(&self, url: impl Into<String>, status: StatusCode) {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = status;
        self.answer_with(url, response);
    }

    /// From now on gives this answer at this URL.
    pub fn answer_with(&self, url: impl Into<String>, response: Response<Bytes>) {
        self.answer_by(url, move |_| Ok(response.clone()));
    }

    /// From now on answers at this URL what this finds for the request, as soon as that is sent: before any delay.
    pub fn answer_by(
        &self,
        url: impl Into<String>,
        answer: impl Fn(&Request<Bytes>) -> Result<Response<Bytes>, HttpError> + Send + Sync + 'static,
    ) {
        self.script().answers.insert(url.into(), Arc::new(answer));
    }

    /// From now on fails in this way at this URL.
    pub fn fail(&self, url: impl Into<String>, error: HttpError) {
        self.answer_by(url, move |_| Err(error.clone()));
    }

    /// From now on takes this long for every answer (time of the tokio runtime).
    pub fn delay(&self, delay: Duration) {
        self.script().delay = delay;
    }

    /// How often a URL was asked.
    #[must_use]
    pub fn count(&self, url: &str) -> usize {
        self.script().asked.get(url).copied().unwrap_or(0)
    }

    /// How often anything was asked.
    #[must_use]
    pub fn total(&self) -> usize {
        self.script().asked.values().sum()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpClient for ScriptedHttpClient {
    fn send(&self, request: Request<Bytes>, limits: Limits) -> HttpFuture {
        let url = request.uri().to_string();
        let (answer, delay) = {
            let mut script = self.script();
            let found = (script.answers.get(&url).cloned(), script.delay);
            *script.asked.entry(url).or_insert(0) += 1;
            found
        };
        // Not under the lock: it may ask this client how often it was asked.
        let answer = match answer {
            Some(answer) => answer(&request),
            None => Err(HttpError::Transport("nothing is scripted there".into())),
        };
        Box::pin(async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            match answer {
                Ok(response) if response.body().len() > limits.max_body => Err(HttpError::TooLarge),
                answer => answer,
            }
        })
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("asked", &self.asked).finish_non_exhaustive()
    }
}
