//! The servers that are compared, each a process of its own.

use std::error::Error;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::machine::Cores;
use super::process::Process;
use super::serve::{Ready, Signature, What};

/// In which a server starts.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that runs.
pub struct Server {
    pub name: String,
    pub port: u16,
    pub process: Process,
    pub versions: Vec<String>,
    /// Made by this server for its clients, if only it can.
    pub credentials: Option<(String, Vec<String>)>,
}

/// What to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Portcullis {
        what: What,
        threads: usize,
    },
    HaProxy {
        verifies: bool,
    },
    /// With the library of this name, or `open`.
    Node(&'static str),
}

/// What servers are started with.
pub struct Surroundings {
    pub haproxy: PathBuf,
    /// The program for Node.js.
    pub node: PathBuf,
    /// Where files may be written.
    pub folder: PathBuf,
    pub cores: Cores,
}

/// What a server has to know of who signs.
pub struct Keys {
    pub signature: Signature,
    /// A JWK Set.
    pub jwks: PathBuf,
    /// The one key in it, as PEM.
    pub pem: PathBuf,
}

impl Kind {
    pub fn name(self) -> String {
        match self {
            Self::Portcullis { what: What::Open, .. } => "axum, open".into(),
            Self::Portcullis { what: What::Noop, .. } => "axum, empty layer".into(),
            Self::Portcullis { what: What::Cached, .. } => "portcullis, cached".into(),
            Self::Portcullis { what: What::Uncached, .. } => "portcullis, cache off".into(),
            Self::Portcullis { what: What::ApiKey, .. } => "portcullis, API keys".into(),
            Self::Portcullis { what: What::Authenticated, .. } => "portcullis, cached, no scope".into(),
            Self::Portcullis { what: What::Limited, .. } => "portcullis, cached and limited".into(),
            Self::Portcullis { what: What::LimitedSilently, .. } => {
                "the same, and callers are not told".into()
            }
            Self::HaProxy { verifies: false } => "HAProxy, open".into(),
            Self::HaProxy { verifies: true } => "HAProxy jwt_verify".into(),
            Self::Node("open") => "Node.js, open".into(),
            Self::Node(library) => format!("Node.js {library}"),
        }
    }

    /// Whether it lets everybody in.
    pub fn is_open(self) -> bool {
        matches!(
            self,
            Self::Portcullis { what: What::Open | What::Noop, .. }
                | Self::HaProxy { verifies: false }
                | Self::Node("open")
        )
    }

    pub fn has_api_keys(self) -> bool {
        matches!(self, Self::Portcullis { what: What::ApiKey, .. })
    }

    /// The same server without protection.
    pub fn open(self) -> Self {
        match self {
            Self::Portcullis { threads, .. } => Self::Portcullis { what: What::Open, threads },
            Self::HaProxy { .. } => Self::HaProxy { verifies: false },
            Self::Node(_) => Self::Node("open"),
        }
    }

    /// The same server with so many threads, if it is ours.
    pub fn with_threads(self, threads: usize) -> Self {
        match self {
            Self::Portcullis { what, .. } => Self::Portcullis { what, threads },
            other => other,
        }
    }

    /// Starts it and waits until it is ready.
    pub fn start(
        self,
        surroundings: &Surroundings,
        keys: &Keys,
        users: usize,
        cores: &str,
    ) -> Result<Server, Box<dyn Error>> {
        match self {
            Self::Portcullis { what, threads } => {
                let mut command = Process::command(std::env::current_exe()?, cores);
                command.args(["serve", "--threads", &threads.to_string(), "--users", &users.to_string()]);
                command.args(["--what", &argument(what), "--algorithm", &argument(keys.signature)]);
                command.arg("--jwks").arg(&keys.jwks);
                self.when_it_says_so(command)
            }
            Self::Node(library) => {
                let mut command = Process::command("node", cores);
                command.arg(&surroundings.node).args([library, keys.signature.name()]).arg(&keys.jwks);
                self.when_it_says_so(command)
            }
            Self::HaProxy { verifies } => self.start_haproxy(surroundings, keys, verifies, cores),
        }
    }

    fn when_it_says_so(self, mut command: Command) -> Result<Server, Box<dyn Error>> {
        command.stdout(Stdio::piped());
        let mut process = Process::start(command)?;
        let line = process.first_line(PATIENCE).map_err(|error| format!("{}: {error}", self.name()))?;
        let ready: Ready =
            serde_json::from_str(&line).map_err(|error| format!("{}: {error}: {line}", self.name()))?;
        let credentials = (!ready.credentials.is_empty()).then_some((ready.header, ready.credentials));
        Ok(Server { name: self.name(), port: ready.port, process, versions: ready.versions, credentials })
    }

    /// It does not tell its port, so it is given one that was free a moment ago.
    fn start_haproxy(
        self,
        surroundings: &Surroundings,
        keys: &Keys,
        verifies: bool,
        cores: &str,
    ) -> Result<Server, Box<dyn Error>> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let rules = if verifies { include_str!("haproxy.rules") } else { "" };
        let rules = rules
            .replace("{algorithm}", keys.signature.name())
            .replace("{issuer}", super::ISSUER)
            .replace("{audience}", crate::fixture::AUDIENCE)
            .replace("{key}", &keys.pem.display().to_string());
        let text =
            include_str!("haproxy.cfg").replace("{port}", &port.to_string()).replace("{rules}", &rules);
        let file =
            surroundings.folder.join(if verifies { "haproxy-verifies.cfg" } else { "haproxy-open.cfg" });
        std::fs::write(&file, text)?;
        let version = Command::new(&surroundings.haproxy).arg("-v").output()?.stdout;
        let version = String::from_utf8_lossy(&version);
        let version = version.split(' ').take(3).collect::<Vec<_>>().join(" ");
        let mut command = Process::command(&surroundings.haproxy, cores);
        // In the foreground, silent but for what is wrong.
        command.args(["-db", "-q", "-f"]).arg(&file).stdout(Stdio::null());
        let mut process = Process::start(command)?;
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if process.has_ended() || Instant::now() > end {
                return Err("HAProxy did not start".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(Server { name: self.name(), port, process, versions: vec![version], credentials: None })
    }
}

fn argument(value: impl clap::ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
