//! One load: wrk against one server, and what it took of processors there.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::process::Process;
use super::servers::Server;

/// Enough that the server always has a request to answer.
pub const CONNECTIONS: usize = 64;

/// What wrk may take beyond its time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts wrk, on a core of its own or on all.
pub struct Wrk {
    program: PathBuf,
    script: PathBuf,
}

/// What came of a load. Times are in microseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Load {
    pub requests: u64,
    pub seconds: f64,
    /// Time of processors for each request: user and system, all threads of the server.
    pub cpu: f64,
    pub requests_per_second: f64,
    /// How many cores the server kept busy.
    pub busy: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub max: f64,
}

#[derive(Deserialize)]
struct Counted {
    requests: u64,
    micros: u64,
    refused: u64,
    broken: u64,
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

impl Wrk {
    pub fn new(program: &Path, folder: &Path) -> Result<Self, Box<dyn Error>> {
        let script = folder.join("wrk.lua");
        std::fs::write(&script, include_str!("wrk.lua"))?;
        Ok(Self { program: program.to_owned(), script })
    }

    pub fn version(&self) -> Result<String, Box<dyn Error>> {
        // It says so, and then that it was called wrongly.
        let out = Command::new(&self.program).arg("--version").output()?.stdout;
        let text = String::from_utf8_lossy(&out);
        let version = text.split(" [").next().unwrap_or_default().trim();
        if version.is_empty() { Err("wrk does not start".into()) } else { Ok(version.to_owned()) }
    }

    /// Loads the server for so many seconds with the credentials of a file, one after the other.
    ///
    /// # Errors
    /// If a single request is answered by anything but success, or a connection breaks.
    pub fn load(
        &self,
        server: &Server,
        header: &str,
        credentials: &Path,
        seconds: u32,
        cores: &str,
    ) -> Result<Load, Box<dyn Error>> {
        let mut command = Process::command(&self.program, cores);
        command.args(["--threads", "1", "--timeout", "5s"]).arg("--connections").arg(CONNECTIONS.to_string());
        command.arg("--duration").arg(format!("{seconds}s")).arg("--script").arg(&self.script);
        command.arg(format!("http://127.0.0.1:{}/todo", server.port)).arg("--").arg(credentials).arg(header);
        command.stdout(Stdio::piped());
        let before = server.process.cpu_time()?;
        let wrk = Process::start(command)?;
        let out = wrk.output(Duration::from_secs(seconds.into()) + PATIENCE)?;
        let cpu = server.process.cpu_time()? - before;
        let result = out.lines().find_map(|line| line.strip_prefix("result "));
        let counted: Counted = serde_json::from_str(result.ok_or_else(|| format!("no result: {out}"))?)?;
        if counted.refused > 0 || counted.broken > 0 || counted.requests == 0 {
            return Err(format!("{}: not every request was answered well: {out}", server.name).into());
        }
        let seconds = counted.micros as f64 / 1e6;
        Ok(Load {
            requests: counted.requests,
            seconds,
            cpu: cpu.as_secs_f64() * 1e6 / counted.requests as f64,
            requests_per_second: counted.requests as f64 / seconds,
            busy: cpu.as_secs_f64() / seconds,
            p50: counted.p50,
            p90: counted.p90,
            p99: counted.p99,
            max: counted.max,
        })
    }
}
