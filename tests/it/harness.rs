//! Real processes: the npm `oidc-provider`, and the example `todo` in front of it.
#![allow(dead_code)] // the soak uses more of it than the tests, or less

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

/// The algorithms that the provider signs with, each for a resource of its own.
pub const ALGORITHMS: [&str; 5] = ["rs256", "ps256", "es256", "eddsa", "ed25519"];

/// How long a server may take to end, and how often it is looked at meanwhile.
const ENDING: Duration = Duration::from_secs(5);
const ENDING_STEP: Duration = Duration::from_millis(5);

pub fn audience(algorithm: &str) -> String {
    format!("https://api.example/{algorithm}")
}

/// A `server.mjs` of `tests`, that is an authorization server or starts one. Ends when dropped.
pub struct Server {
    child: Child,
    /// It ends when this closes, even if the test was killed.
    stdin: Option<ChildStdin>,
    /// What it printed when it was ready.
    pub announcement: Value,
}

impl Server {
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new("node")
            .arg("server.mjs")
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let announcement = serde_json::from_str(&first_line(&mut child)).unwrap();
        let stdin = child.stdin.take();
        Self { child, stdin, announcement }
    }

    pub fn announced(&self, name: &str) -> String {
        self.announcement[name].as_str().unwrap_or_else(|| panic!("{name}: {}", self.announcement)).to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Not killed at once: it has to end what it started.
        drop(self.stdin.take());
        for _ in 0..ENDING.as_millis() / ENDING_STEP.as_millis() {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(ENDING_STEP);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client as an authorization server knows it.
#[derive(Clone)]
pub struct Client {
    pub id: String,
    /// Empty if it has a key instead.
    pub secret: String,
    /// PKCS #8 in PEM, for ES256.
    pub private_key: Option<String>,
}

impl Client {
    /// From what a server announced, under these names.
    pub fn of(announcement: &Value, id: &str, secret: &str) -> Self {
        let text = |name: &str| announcement[name].as_str().map(str::to_owned);
        Self {
            id: text(id).unwrap(),
            secret: text(secret).unwrap_or_default(),
            private_key: text("private_key"),
        }
    }
}

/// A certified authorization server. Ends when dropped.
pub struct Provider {
    server: Server,
    pub issuer: String,
    control: String,
    http: reqwest::Client,
}

impl Provider {
    /// `None` if it is not installed, said loudly; `scripts/test` installs it.
    pub async fn start() -> Option<Self> {
        Self::start_at(0).await
    }

    pub async fn start_at(port: u16) -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc-provider");
        if std::env::var_os("PORTCULLIS_SKIP_PROVIDER").is_some() || !folder.join("node_modules").exists() {
            eprintln!("SKIPPED: the provider is not installed; scripts/test installs it");
            return None;
        }
        let server = Server::start(&folder, &["--port", &port.to_string()]);
        let (issuer, control) = (server.announced("issuer"), server.announced("control"));
        Some(Self { server, issuer, control, http: plain_client() })
    }

    pub fn port(&self) -> u16 {
        self.issuer.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    /// A token by client credentials, for the resource that has this algorithm (RFC 8707); `opaque` is one of them.
    pub async fn token(&self, algorithm: &str, scope: &str) -> String {
        self.any_token(scope, Some(&audience(algorithm))).await
    }

    /// An opaque token for no resource in particular: its introspection has no audience.
    pub async fn token_without_audience(&self, scope: &str) -> String {
        self.any_token(scope, None).await
    }

    async fn any_token(&self, scope: &str, resource: Option<&str>) -> String {
        let mut form = vec![("grant_type", "client_credentials"), ("scope", scope)];
        form.extend(resource.map(|resource| ("resource", resource)));
        let (endpoint, client) = (format!("{}/token", self.issuer), test_client());
        access_token(post_form(&self.http, &endpoint, &client, &form).await).await
    }

    /// Ends a token of [`token`](Self::token), if it is an opaque one (RFC 7009).
    pub async fn revoke(&self, token: &str) {
        let (endpoint, client) = (format!("{}/token/revocation", self.issuer), test_client());
        let answer = post_form(&self.http, &endpoint, &client, &[("token", token)]).await;
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }

    /// One that may introspect: `basic`, `special`, `post`, `private_key_jwt` or `signed`, as `server.mjs` tells.
    pub fn resource_server(&self, name: &str) -> Client {
        Client::of(&self.server.announcement["resource_servers"][name], "client_id", "client_secret")
    }

    pub fn introspection_endpoint(&self) -> String {
        format!("{}/token/introspection", self.issuer)
    }

    /// Replaces all keys at once.
    pub async fn rotate(&self) {
        self.control("rotate").await;
    }

    /// Delays its key set.
    pub async fn delay(&self, milliseconds: u64) {
        self.control(&format!("delay?ms={milliseconds}")).await;
    }

    /// From now on sends answers of introspection this late, as they would have been in time, and with a fault:
    /// `none`, `500`, `503`, `401`, `html`, `garbage`, `oversize`, `redirect` or `hang`, as `server.mjs` tells.
    pub async fn trouble_introspection(&self, milliseconds: u64, fault: &str) {
        self.control(&format!("introspection?ms={milliseconds}&fault={fault}")).await;
    }

    /// How often its key set was asked for.
    pub async fn jwks_fetches(&self) -> u64 {
        self.requests("jwks").await
    }

    /// How often it was asked for `jwks`, `discovery`, `token`, `introspection`, `revocation`, or `elsewhere`, where
    /// the fault `redirect` leads.
    pub async fn requests(&self, kind: &str) -> u64 {
        let counts = self.http.get(format!("{}/counts", self.control)).send().await.unwrap();
        counts.json::<Value>().await.unwrap()[kind].as_u64().unwrap()
    }

    async fn control(&self, action: &str) {
        let answer = self.http.post(format!("{}/{action}", self.control)).send().await.unwrap();
        assert!(answer.status().is_success(), "{action}: {}", answer.status());
    }
}

/// The example, as its own process. Ends when dropped.
pub struct Todo {
    child: Child,
    pub url: String,
    http: reqwest::Client,
}

impl Todo {
    pub fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(example("todo"))
            .args(arguments)
            // As in production: a line for each refusal would be the largest part of its cost.
            .env("RUST_LOG", "info")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cargo build --example todo, first: {error}"));
        let line = first_line(&mut child);
        let url = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).trim().to_owned();
        Self { child, url, http: plain_client() }
    }

    /// Protected by a provider, for the audiences of all its algorithms, and with a limit that no test reaches.
    pub fn in_front_of(provider: &Provider) -> Self {
        let audiences = ALGORITHMS.map(audience);
        let mut arguments = vec!["--issuer", &provider.issuer, "--allow-http", "--quota", "4000000000/60"];
        for audience in &audiences {
            arguments.extend(["--audience", audience]);
        }
        Self::start(&arguments)
    }

    pub async fn get(&self, path: &str, token: Option<&str>) -> reqwest::Response {
        let mut request = self.http.get(format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send().await.unwrap()
    }

    pub async fn status(&self, path: &str, token: &str) -> u16 {
        self.get(path, Some(token)).await.status().as_u16()
    }

    pub fn client(&self) -> &reqwest::Client {
        &self.http
    }
}

impl Drop for Todo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What an example prints that ends by itself: errors alone, and no log.
pub fn run_example(name: &str, arguments: &[&str]) -> Output {
    let output = Command::new(example(name)).args(arguments).env("RUST_LOG", "off").output();
    output.unwrap_or_else(|error| panic!("cargo build --example {name}, first: {error}"))
}

/// An example that cargo built beside this test.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples").join(name)
}

/// Waits for the line that says where a process listens; keeps reading so that it never blocks on a full pipe.
fn first_line(child: &mut Child) -> String {
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
    line
}

/// The one that gets the tokens of [`Provider`].
fn test_client() -> Client {
    Client { id: "test-client".to_owned(), secret: "test-secret".to_owned(), private_key: None }
}

/// By a client that authenticates with its secret, encoded as RFC 6749 section 2.3.1 wants it.
pub async fn post_form(
    http: &reqwest::Client,
    endpoint: &str,
    client: &Client,
    form: &[(&str, &str)],
) -> reqwest::Response {
    let request = http.post(endpoint).basic_auth(encoded(&client.id), Some(encoded(&client.secret)));
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    request.body(form_body(form)).send().await.unwrap()
}

pub fn form_body(form: &[(&str, &str)]) -> String {
    form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&")
}

fn encoded(value: &str) -> String {
    url::form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

pub async fn access_token(answer: reqwest::Response) -> String {
    let answer: Value = answer.json().await.unwrap();
    answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
}

/// reqwest needs a TLS provider even where nothing is encrypted.
pub fn plain_client() -> reqwest::Client {
    // Node.js closes connections that were idle for five seconds, which may cross with a request.
    reqwest::Client::builder().no_proxy().pool_idle_timeout(Duration::from_secs(2)).build().unwrap()
}
