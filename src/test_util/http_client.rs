//! HTTP without a network.

use std::collections::HashMap;
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

#[derive(Debug, Default)]
struct Script {
    answers: HashMap<String, Result<Response<Bytes>, HttpError>>,
    delay: Duration,
    asked: Vec<String>,
}

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
        self.script().answers.insert(url.into(), Ok(response));
    }

    /// From now on fails in this way at this URL.
    pub fn fail(&self, url: impl Into<String>, error: HttpError) {
        self.script().answers.insert(url.into(), Err(error));
    }

    /// From now on takes this long for every answer (time of the tokio runtime).
    pub fn delay(&self, delay: Duration) {
        self.script().delay = delay;
    }

    /// How often a URL was asked.
    #[must_use]
    pub fn count(&self, url: &str) -> usize {
        self.script().asked.iter().filter(|asked| *asked == url).count()
    }

    /// How often anything was asked.
    #[must_use]
    pub fn total(&self) -> usize {
        self.script().asked.len()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpClient for ScriptedHttpClient {
    fn send(&self, request: Request<Bytes>, limits: Limits) -> HttpFuture {
        let url = request.uri().to_string();
        let mut script = self.script();
        let unreachable = || Err(HttpError::Transport("nothing is scripted there".into()));
        let answer = script.answers.get(&url).cloned().unwrap_or_else(unreachable);
        let delay = script.delay;
        script.asked.push(url);
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
