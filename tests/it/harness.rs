//! Real processes: the npm `oidc-provider`, and the example `todo` in front of it.
#![allow(dead_code)] // the soak uses more of it than the tests, or less

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::Value;

/// The algorithms that the provider signs with, each for a resource of its own.
pub const ALGORITHMS: [&str; 5] = ["rs256", "ps256", "es256", "eddsa", "ed25519"];

pub fn audience(algorithm: &str) -> String {
    format!("https://api.example/{algorithm}")
}

/// A certified authorization server. Ends when dropped.
pub struct Provider {
    child: Child,
    /// It ends when this closes, even if the test was killed.
    _stdin: Option<ChildStdin>,
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
        let mut child = Command::new("node")
            .args(["server.mjs", "--port", &port.to_string()])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let addresses: Value = serde_json::from_str(&first_line(&mut child)).unwrap();
        let text = |name: &str| addresses[name].as_str().unwrap().to_owned();
        let stdin = child.stdin.take();
        let http = plain_client();
        Some(Self { child, _stdin: stdin, issuer: text("issuer"), control: text("control"), http })
    }

    pub fn port(&self) -> u16 {
        self.issuer.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    /// A token by client credentials, for the resource that has this algorithm (RFC 8707).
    pub async fn token(&self, algorithm: &str, scope: &str) -> String {
        let form = [("grant_type", "client_credentials"), ("scope", scope)];
        let form: Vec<String> = form.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let form = format!("{}&resource={}", form.join("&"), audience(algorithm)).replace(' ', "+");
        let request = self
            .http
            .post(format!("{}/token", self.issuer))
            .basic_auth("test-client", Some("test-secret"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}")).to_owned()
    }

    /// Replaces all keys at once.
    pub async fn rotate(&self) {
        self.control("rotate").await;
    }

    /// Delays its key set.
    pub async fn delay(&self, milliseconds: u64) {
        self.control(&format!("delay?ms={milliseconds}")).await;
    }

    /// How often its key set was asked for.
    pub async fn jwks_fetches(&self) -> u64 {
        let counts: Value =
            self.http.get(format!("{}/counts", self.control)).send().await.unwrap().json().await.unwrap();
        counts["jwks"].as_u64().unwrap()
    }

    async fn control(&self, action: &str) {
        let answer = self.http.post(format!("{}/{action}", self.control)).send().await.unwrap();
        assert!(answer.status().is_success(), "{action}: {}", answer.status());
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
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

/// reqwest needs a TLS provider even where nothing is encrypted.
fn plain_client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}
