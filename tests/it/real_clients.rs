//! Real clients as processes: the official ones of GOV.UK Notify, Python `requests`, and curl.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

/// How long one may run; it is ended then, and the test fails. They end by themselves after 20 seconds.
const LIMIT: Duration = Duration::from_secs(30);

/// What became of the calls `get`, `list` and `post` of the official Python client: of each its `status` and, as
/// `tests/clients/notify.py` tells, `result` or `error`. `None` if it is not installed, said loudly.
///
/// The key is `NAME-SERVICE_ID-SECRET`. Not for tests with paused time, like all of these.
pub async fn notify_python(base: &str, key: &str) -> Option<Value> {
    python("notify.py", &[base, key]).await
}

/// The same of the official Node.js client.
pub async fn notify_node(base: &str, key: &str) -> Option<Value> {
    let mut command = Command::new("node");
    command.arg(folder()?.join("notify.mjs")).args([base, key]);
    Some(report(command).await)
}

/// The answers to an API key that is presented in each way that `tests/clients/requests_key.py` lists: of each its
/// `status`, `www_authenticate`, `cache_control` and `body`. `None` if `requests` is not installed, said loudly.
pub async fn requests_key(url: &str, key: &str) -> Option<Value> {
    python("requests_key.py", &[url, key]).await
}

/// Status, head (with the status line) and body of the last answer that curl gets with these arguments. `None` if it is
/// not installed, said loudly.
pub async fn curl(arguments: &[&str]) -> Option<(u16, String, String)> {
    folder()?;
    let mut command = Command::new("curl");
    // The first leaves the settings of whoever runs the test alone, and works only there.
    command.args(["--disable", "--silent", "--show-error", "--include", "--max-time", "20"]).args(arguments);
    let mut rest = output(command).await;
    loop {
        let (head, body) = rest.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {rest}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        // Interim answers and redirects that it followed come first.
        if !body.starts_with("HTTP/") {
            return Some((status, head.to_owned(), body.to_owned()));
        }
        rest = body.to_owned();
    }
}

async fn python(script: &str, arguments: &[&str]) -> Option<Value> {
    let folder = folder()?;
    let mut command = Command::new(folder.join("venv/bin/python"));
    // Isolated: of the packages and settings of whoever runs the test.
    command.arg("-I").arg(folder.join(script)).args(arguments);
    Some(report(command).await)
}

/// `None` if they are not installed; `scripts/test` installs all or skips all.
fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let installed = ["venv/installed.txt", "node_modules"].iter().all(|part| folder.join(part).exists());
    if std::env::var_os("PORTCULLIS_SKIP_CLIENTS").is_some() || !installed {
        eprintln!("SKIPPED: the clients are not installed; scripts/test installs them");
        return None;
    }
    Some(folder)
}

async fn report(command: Command) -> Value {
    let printed = output(command).await;
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
}

/// What it prints. It talks to this machine alone, and with the credentials that it is given.
async fn output(mut command: Command) -> String {
    command.env("NO_PROXY", "*").env("no_proxy", "*").env("NETRC", "/dev/null");
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("{LIMIT:?} are over")).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}
