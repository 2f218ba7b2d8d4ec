//! Stores that are asked: how often, how many at once, and what becomes of a request when they fail.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis::{
    AuthLayer, ClientSecrets, MemoryClientSecrets, MemorySingleUse, Reason, SignedRequestAuthenticator,
    SigningClient, SingleUse, SingleUseToken, Spend, StoreAnswer, StoreError,
};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tracing_subscriber::filter::LevelFilter;

use super::{
    ACCEPTED, Answer, Builder, NOW, OTHER_SECRET, SECRET, Scene, Token, answer, bearer, client, refused,
    request, settle, unavailable,
};
use crate::log::Log;
use crate::support::{outcome, send};

/// How a store answers.
#[derive(Clone, Default)]
enum How {
    #[default]
    AtOnce,
    After(Duration),
    Never,
    FailsAtOnce,
    Fails,
    /// When it is let pass.
    Held(Arc<Semaphore>),
}

/// Counts the questions to a store, and answers them as it is told.
#[derive(Default)]
struct Manner {
    asked: AtomicUsize,
    how: Mutex<How>,
}

impl Manner {
    fn answer<T: Send + 'static>(&self, said: impl FnOnce() -> T + Send + 'static) -> StoreAnswer<T> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let down = || StoreError::new("the database is away");
        match self.how.lock().unwrap().clone() {
            How::AtOnce => StoreAnswer::ready(Ok(said())),
            How::FailsAtOnce => StoreAnswer::ready(Err(down())),
            How::Fails => StoreAnswer::boxed(async move { Err(down()) }),
            How::Never => StoreAnswer::boxed(std::future::pending()),
            How::After(delay) => StoreAnswer::boxed(async move {
                tokio::time::sleep(delay).await;
                Ok(said())
            }),
            How::Held(passes) => StoreAnswer::boxed(async move {
                passes.acquire().await.unwrap().forget();
                Ok(said())
            }),
        }
    }
}

/// Clients in a store that is asked.
#[derive(Clone, Default)]
pub(super) struct Secrets(Arc<Manner>, MemoryClientSecrets);

impl Secrets {
    pub(super) fn put(&self, name: &str, client: SigningClient) {
        self.1.put(name, client);
    }

    pub(super) fn delay(&self, delay: Duration) {
        self.answer(How::After(delay));
    }

    pub(super) fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }

    fn answer(&self, how: How) {
        *self.0.how.lock().unwrap() = how;
    }
}

impl ClientSecrets for Secrets {
    fn find(&self, client: &str) -> StoreAnswer<Option<Arc<SigningClient>>> {
        let known = at_once(self.1.find(client));
        self.0.answer(|| known)
    }
}

/// Used tokens in a store that is asked.
#[derive(Clone, Default)]
pub(super) struct Uses(Arc<Manner>, MemorySingleUse);

impl Uses {
    pub(super) fn delay(&self, delay: Duration) {
        self.answer(How::After(delay));
    }

    pub(super) fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }

    fn answer(&self, how: How) {
        *self.0.how.lock().unwrap() = how;
    }
}

impl SingleUse for Uses {
    fn spend(&self, token: &SingleUseToken<'_>) -> StoreAnswer<Spend> {
        let (store, key, until) = (self.1.clone(), token.key, token.until);
        let client = token.client.to_owned();
        // At the moment at which it answers, not at which it is asked.
        self.0.answer(move || at_once(store.spend(&SingleUseToken::new(key, &client, until))))
    }
}

/// What a store in memory says.
fn at_once<T>(answer: StoreAnswer<T>) -> T {
    tokio_test::assert_ready_ok!(tokio_test::task::spawn(answer.answer()).poll())
}

/// A server whose stores are both asked.
struct Asking {
    scene: Scene,
    secrets: Secrets,
    uses: Uses,
    layer: AuthLayer<SignedRequestAuthenticator>,
}

impl Asking {
    fn new() -> Self {
        Self::with(|builder| builder)
    }

    fn with(configure: impl FnOnce(Builder) -> Builder) -> Self {
        let (scene, secrets, uses) = (Scene::new(), Secrets::default(), Uses::default());
        secrets.put("app", client([SECRET]));
        let builder = SignedRequestAuthenticator::builder(secrets.clone());
        let builder = configure(builder.clock(scene.clock.clone()).single_use_in(uses.clone()));
        let layer = AuthLayer::new(builder.build().unwrap());
        Self { scene, secrets, uses, layer }
    }

    async fn ask(&self, token: &Token) -> Answer {
        answer(&self.layer, bearer(&token.build())).await
    }

    /// A token that was not used yet.
    fn token(&self) -> Token {
        self.scene.token().claim("jti", (self.secrets.asked() + self.uses.asked()).to_string())
    }

    fn asked(&self) -> (usize, usize) {
        (self.secrets.asked(), self.uses.asked())
    }

    /// A request in a task of its own, which runs until it waits or is answered.
    async fn start(&self, token: &Token) -> JoinHandle<Answer> {
        let (layer, request) = (self.layer.clone(), bearer(&token.build()));
        let request = tokio::spawn(async move { outcome(&send(&layer, request).await) });
        settle().await;
        request
    }
}

#[tokio::test]
async fn nobody_is_asked_about_what_is_wrong_in_itself_and_nothing_is_marked_that_is_wrong() {
    let asking = Asking::new();
    let token = || asking.scene.token();
    for (token, expected, asked) in [
        (token().header("alg", "HS512"), refused(Reason::AlgorithmRefused), (0, 0)),
        (token().claim("iss", ""), refused(Reason::ClaimsMalformed), (0, 0)),
        (token().claim("iat", NOW - 31), refused(Reason::TokenStale), (0, 0)),
        (token().claim("iat", NOW + 31), refused(Reason::IssuedInFuture), (0, 0)),
        (token().claim("exp", NOW), refused(Reason::TokenExpired), (0, 0)),
        (token().claim("aud", "x"), refused(Reason::AudienceRefused), (0, 0)),
        (token().signed_by(OTHER_SECRET), refused(Reason::ClientUnknown), (1, 0)),
        (token().claim("iss", "nobody"), refused(Reason::ClientUnknown), (1, 0)),
        (token().bound_to("GET /b"), refused(Reason::BindingMismatch), (1, 0)),
        (token().around(""), super::misconfigured(Reason::BodyNeeded), (1, 0)),
        (token(), ACCEPTED, (1, 1)),
        (token(), refused(Reason::TokenReplayed), (1, 1)),
    ] {
        let before = asking.asked();
        assert_eq!(asking.ask(&token).await, expected);
        let after = asking.asked();
        assert_eq!((after.0 - before.0, after.1 - before.1), asked, "{expected:?}");
    }
}

/// The way that waits leads to the same answers as the one that does not.
#[tokio::test]
async fn stores_that_take_their_time_change_no_answer() {
    for how in [How::AtOnce, How::After(Duration::from_millis(1))] {
        let asking = Asking::new();
        asking.secrets.answer(how.clone());
        asking.uses.answer(how);
        let bound = asking.scene.token().bound_to("PUT /a?x=1");
        for (line, token, expected) in [
            ("PUT /a?x=1", bound.clone(), ACCEPTED),
            ("PUT /a?x=1", bound.clone(), refused(Reason::TokenReplayed)),
            ("PUT /a?x=2", bound.clone(), refused(Reason::BindingMismatch)),
            ("POST /a?x=1", bound.clone(), refused(Reason::BindingMismatch)),
            ("GET /", asking.scene.token().around(""), super::misconfigured(Reason::BodyNeeded)),
            ("GET /", asking.scene.token().signed_by(OTHER_SECRET), refused(Reason::ClientUnknown)),
            ("GET /", asking.scene.token().claim("iss", "nobody"), refused(Reason::ClientUnknown)),
            ("GET /", asking.scene.token(), ACCEPTED),
        ] {
            assert_eq!(answer(&asking.layer, request(line, &token.build())).await, expected, "{line}");
        }
    }
}

#[tokio::test]
async fn a_store_that_is_down_is_nobodys_credential() {
    for how in [How::FailsAtOnce, How::Fails] {
        let (log, _guard) = Log::capture(LevelFilter::ERROR);
        let asking = Asking::new();
        for (trouble, name) in [(&asking.secrets.0, "client secrets"), (&asking.uses.0, "used tokens")] {
            *trouble.how.lock().unwrap() = how.clone();
            let (token, start) = (asking.token(), tokio::time::Instant::now());
            for _ in 0..3 {
                let response = send(&asking.layer, bearer(&token.build())).await;
                assert_eq!(outcome(&response), unavailable(Reason::AuthorityUnavailable));
                assert_eq!(response.headers()["retry-after"], "1");
                assert!(!response.headers().contains_key("www-authenticate"));
            }
            let logged = log.take();
            assert!(logged.contains("the database is away") && logged.contains(name), "{logged}");
            let seconds = usize::try_from(start.elapsed().as_secs()).unwrap();
            assert!((1..=seconds + 2).contains(&logged.lines().count()), "once a second: {logged}");
            *trouble.how.lock().unwrap() = How::AtOnce;
            assert_eq!(asking.ask(&token).await, ACCEPTED, "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_given_up_after_two_seconds() {
    let (log, _guard) = Log::capture(LevelFilter::ERROR);
    for (configured, limit) in [(None, 2), (Some(Duration::from_secs(5)), 5)] {
        let asking = Asking::with(|builder| match configured {
            Some(timeout) => builder.timeout(timeout),
            None => builder,
        });
        for trouble in [&asking.secrets.0, &asking.uses.0] {
            *trouble.how.lock().unwrap() = How::Never;
            let (token, start) = (asking.token(), tokio::time::Instant::now());
            assert_eq!(asking.ask(&token).await, unavailable(Reason::AuthorityUnavailable));
            let took = start.elapsed();
            assert!(took >= Duration::from_secs(limit) && took < Duration::from_secs(limit + 1), "{took:?}");
            *trouble.how.lock().unwrap() = How::After(Duration::from_secs(limit) - Duration::from_millis(1));
            assert_eq!(asking.ask(&asking.token().claim("x", 1)).await, ACCEPTED);
            *trouble.how.lock().unwrap() = How::AtOnce;
        }
    }
    assert!(log.take().contains("did not answer in time"));
}

#[tokio::test]
async fn sixty_four_questions_are_under_way_a_thousand_wait_and_the_next_is_refused_at_once() {
    let asking = Asking::new();
    for secrets in [true, false] {
        let passes = Arc::new(Semaphore::new(0));
        let trouble = if secrets { &asking.secrets.0 } else { &asking.uses.0 };
        *trouble.how.lock().unwrap() = How::Held(Arc::clone(&passes));
        let mut requests = Vec::new();
        for number in 0..1064 {
            let token = asking.scene.token().claim("jti", format!("{secrets} {number}"));
            let (layer, request) = (asking.layer.clone(), bearer(&token.build()));
            requests.push(tokio::spawn(async move { outcome(&send(&layer, request).await) }));
        }
        settle().await;
        let late = asking.scene.token().claim("jti", format!("{secrets} late"));
        let busy = send(&asking.layer, bearer(&late.build())).await;
        assert_eq!(outcome(&busy), unavailable(Reason::AuthorityBusy));
        assert_eq!(busy.headers()["retry-after"], "1");
        assert!(requests.iter().all(|request| !request.is_finished()));
        // Each that is answered makes room for one.
        passes.add_permits(1);
        settle().await;
        let after = asking.start(&asking.scene.token().claim("jti", format!("{secrets} after"))).await;
        assert!(!after.is_finished());
        passes.add_permits(2000);
        for request in requests {
            assert_eq!(request.await.unwrap(), ACCEPTED);
        }
        assert_eq!(after.await.unwrap(), ACCEPTED);
        assert_eq!(asking.ask(&late).await, ACCEPTED, "being busy is no verdict");
        *trouble.how.lock().unwrap() = How::AtOnce;
    }
}

/// A token that was all right when it came, and waited for its secrets until nobody would remember that it was used.
#[tokio::test]
async fn a_token_that_waited_too_long_is_not_marked_any_more() {
    for (late, expected) in [(30, ACCEPTED), (31, refused(Reason::TokenStale))] {
        let (asking, passes) = (Asking::new(), Arc::new(Semaphore::new(0)));
        asking.secrets.answer(How::Held(Arc::clone(&passes)));
        let request = asking.start(&asking.token()).await;
        asking.scene.clock.advance(Duration::from_secs(30 + late));
        passes.add_permits(1);
        assert_eq!(request.await.unwrap(), expected, "{late}");
        assert_eq!(asking.uses.asked(), usize::from(expected == ACCEPTED));
    }
}
