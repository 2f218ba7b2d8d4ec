//! A PostgreSQL of a test's own, as a real process.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Executor as _};

/// It takes about a second to start: put what belongs together into one test. Ends when dropped.
pub struct Postgres {
    child: Child,
    /// It ends when this closes, even if the test was killed.
    stdin: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    port: u16,
    databases: AtomicU32,
}

impl Postgres {
    /// `None` if it is not installed, said loudly; `scripts/test` installs it.
    pub fn launch() -> Option<Self> {
        Self::launch_with(&[])
    }

    /// With arguments of `tests/postgres/server`, which says what they are.
    pub fn launch_with(arguments: &[&str]) -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/postgres");
        if std::env::var_os("PORTCULLIS_SKIP_POSTGRES").is_some() || !is_installed(&folder) {
            eprintln!("SKIPPED: PostgreSQL is not installed; scripts/test installs it");
            return None;
        }
        let mut child = Command::new(folder.join("server"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().unwrap());
        let (answers, databases) = (BufReader::new(stdout), AtomicU32::new(0));
        let mut postgres = Self { child, stdin, answers, port: 0, databases };
        postgres.port = postgres.answer();
        Some(postgres)
    }

    /// Of a database that all who ask for it share.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Of a new database, with nothing in it.
    pub async fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let pool = PgPoolOptions::new().max_connections(1).connect(&self.url()).await.unwrap();
        pool.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
        pool.close().await;
        self.url_of(&name)
    }

    /// Throws everybody out, and lets nobody in.
    pub fn stop(&mut self) {
        self.command("stop");
    }

    /// Starts it again after a stop, where it was and with what it had.
    pub fn start(&mut self) {
        self.command("start");
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://portcullis@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    fn command(&mut self, command: &str) {
        writeln!(self.stdin.as_ref().unwrap(), "{command}").unwrap();
        assert_eq!(self.answer(), self.port);
    }

    fn answer(&mut self) -> u16 {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim()
            .parse()
            .unwrap_or_else(|_| panic!("PostgreSQL does not start; tests/postgres/server says why"))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Not killed: it has to end what it started.
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

fn is_installed(folder: &Path) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = [folder.join("installed/usr/lib/postgresql"), "/usr/lib/postgresql".into()];
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    for version in versions.iter().filter_map(|folder| folder.read_dir().ok()).flatten().flatten() {
        folders.push(version.path().join("bin"));
    }
    folders.iter().any(|folder| folder.join("initdb").exists())
}
