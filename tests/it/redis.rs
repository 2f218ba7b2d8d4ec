//! A Redis of a test's own, as a real process; and a plain client that looks into it.

use std::io::{BufRead as _, BufReader, Error, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// It starts in a few hundredths of a second. Ends when dropped, with all that it holds.
pub struct Redis {
    child: Child,
    /// It ends when this closes, even if the test was killed.
    stdin: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    port: u16,
}

impl Redis {
    /// `None` if it is not installed, said loudly; `scripts/test` installs it.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// With arguments of `tests/redis/server`, which tells what they are.
    pub fn start_with(arguments: &[&str]) -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/redis");
        if std::env::var_os("PORTCULLIS_SKIP_REDIS").is_some() || !is_installed(&folder) {
            eprintln!("SKIPPED: Redis is not installed; scripts/test installs it");
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
        let mut redis = Self { child, stdin, answers: BufReader::new(stdout), port: 0 };
        redis.port = redis.answer();
        Some(redis)
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills it: everybody is cut off, nobody is let in, and what it held is gone.
    pub fn stop(&mut self) {
        self.tell("stop");
    }

    /// Starts it after a stop, where it was and with nothing in it.
    pub fn start_again(&mut self) {
        self.tell("start");
    }

    /// From now on it answers nothing; connections stay, and new ones are taken.
    pub fn pause(&mut self) {
        self.tell("pause");
    }

    /// Ends a pause: what it was asked meanwhile is answered.
    pub fn resume(&mut self) {
        self.tell("resume");
    }

    /// What it answers, by a connection of its own: `command(&["INFO", "commandstats"])`. Panics if that is an error.
    pub fn command(&self, words: &[&str]) -> String {
        let mut connection = self.connect(PATIENCE).unwrap();
        connection.send(words).unwrap();
        connection.receive().unwrap()
    }

    /// A plain connection, on which an answer may take so long.
    pub fn connect(&self, patience: Duration) -> Result<Connection, Error> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(patience))?;
        Ok(Connection { stream: BufReader::new(stream) })
    }

    fn tell(&mut self, command: &str) {
        writeln!(self.stdin.as_ref().unwrap(), "{command}").unwrap();
        assert_eq!(self.answer(), self.port);
    }

    fn answer(&mut self) -> u16 {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().parse().unwrap_or_else(|_| panic!("Redis does not start; tests/redis/server says why"))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Not killed: it has to end what it started.
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

fn is_installed(folder: &Path) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    folders.push(folder.join("installed/usr/bin"));
    folders.iter().any(|folder| folder.join("redis-server").exists())
}

/// Speaks RESP2, so that nothing of what is tested is needed to see what was done.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub fn send(&mut self, words: &[&str]) -> Result<(), Error> {
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command += &format!("${}\r\n{word}\r\n", word.len());
        }
        self.stream.get_mut().write_all(command.as_bytes())
    }

    /// The next answer as text: the entries of a list one a line, `(nil)` for what is not there. An error is one here too.
    pub fn receive(&mut self) -> Result<String, Error> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let line = line.strip_suffix("\r\n").ok_or(ErrorKind::UnexpectedEof)?;
        let (kind, rest) = line.split_at(1);
        match (kind, rest) {
            ("+" | ":", _) => Ok(rest.to_owned()),
            ("$" | "*", "-1") => Ok("(nil)".to_owned()),
            ("$", _) => self.text(rest.parse().unwrap()),
            ("*", _) => {
                let entries: Result<Vec<_>, _> =
                    (0..rest.parse().unwrap()).map(|_: usize| self.receive()).collect();
                Ok(entries?.join("\n"))
            }
            _ => Err(Error::other(rest)),
        }
    }

    fn text(&mut self, length: usize) -> Result<String, Error> {
        let mut text = vec![0; length + 2];
        self.stream.read_exact(&mut text)?;
        text.truncate(length);
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

#[test]
fn it_is_empty_and_keeps_what_it_is_given() {
    let Some(redis) = Redis::start() else { return };
    assert_eq!(redis.command(&["DBSIZE"]), "0");
    assert_eq!(redis.command(&["GET", "a"]), "(nil)");
    assert_eq!(redis.command(&["SET", "a", "b \r\nc"]), "OK");
    assert_eq!(redis.command(&["GET", "a"]), "b \r\nc");
    assert_eq!(redis.command(&["MGET", "a", "none", "a"]), "b \r\nc\n(nil)\nb \r\nc");
    let statistics = redis.command(&["INFO", "commandstats"]);
    assert!(statistics.contains("cmdstat_get:calls=2,"), "{statistics}");
}

#[test]
fn each_has_its_own() {
    let (Some(redis), Some(other)) = (Redis::start(), Redis::start()) else { return };
    redis.command(&["SET", "a", "1"]);
    assert_ne!(redis.url(), other.url());
    assert_eq!(other.command(&["DBSIZE"]), "0");
}

#[test]
fn a_stop_cuts_off_everybody_and_takes_all_it_holds() {
    let Some(mut redis) = Redis::start() else { return };
    let (url, mut connection) = (redis.url(), redis.connect(PATIENCE).unwrap());
    redis.command(&["SET", "a", "1"]);
    redis.stop();
    let refused = redis.connect(PATIENCE).map(|_| ()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let gone = connection.receive().unwrap_err();
    assert!(matches!(gone.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{gone}");
    redis.start_again();
    assert_eq!((redis.url(), redis.command(&["DBSIZE"])), (url, "0".to_owned()));
}

#[test]
fn what_is_asked_in_a_pause_is_answered_after_it() {
    let Some(mut redis) = Redis::start() else { return };
    let mut before = redis.connect(Duration::from_millis(100)).unwrap();
    redis.pause();
    let mut meanwhile = redis.connect(Duration::from_millis(100)).unwrap();
    for connection in [&mut before, &mut meanwhile] {
        connection.send(&["INCR", "a"]).unwrap();
        let late = connection.receive().unwrap_err();
        assert!(matches!(late.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{late}");
    }
    redis.resume();
    for connection in [&mut before, &mut meanwhile] {
        connection.stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        connection.receive().unwrap();
    }
    assert_eq!(redis.command(&["GET", "a"]), "2");
}

#[test]
fn it_ends_with_its_handle_also_in_a_pause() {
    let Some(mut redis) = Redis::start() else { return };
    let connection = redis.connect(PATIENCE).unwrap();
    redis.pause();
    let port = redis.port;
    drop(redis);
    let refused = TcpStream::connect(("127.0.0.1", port)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    drop(connection);
}

#[test]
fn a_password_is_asked_for_if_it_has_one() {
    let Some(redis) = Redis::start_with(&["--requirepass", "secret"]) else { return };
    let mut connection = redis.connect(PATIENCE).unwrap();
    connection.send(&["DBSIZE"]).unwrap();
    assert!(connection.receive().unwrap_err().to_string().starts_with("NOAUTH"));
    connection.send(&["AUTH", "secret"]).unwrap();
    connection.receive().unwrap();
    connection.send(&["DBSIZE"]).unwrap();
    assert_eq!(connection.receive().unwrap(), "0");
}
