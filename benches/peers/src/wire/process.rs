//! Processes that end with this one, on the cores that they are given, and the time that they take there.

use std::error::Error;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

/// Ends when it is dropped, when its standard input ends, or with the thread that started it, which must be the main one.
pub struct Process(Child);

impl Process {
    /// Prepares a program on some cores, as `0` or `0,1`.
    pub fn command(program: impl AsRef<OsStr>, cores: &str) -> Command {
        // Whatever ends this process, also what cannot be caught: the kernel ends that one.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "taskset", "--cpu-list", cores]).arg(program);
        command.stdin(Stdio::piped());
        command
    }

    pub fn start(mut command: Command) -> Result<Self, Box<dyn Error>> {
        let program = command.get_program().to_owned();
        Ok(Self(command.spawn().map_err(|error| format!("{}: {error}", program.display()))?))
    }

    /// The first line that it prints.
    pub fn first_line(&mut self, patience: Duration) -> Result<String, Box<dyn Error>> {
        let out = self.0.stdout.take().ok_or("its output is not read")?;
        let (send, line) = mpsc::channel();
        std::thread::spawn(move || send.send(first_line(out)));
        Ok(line.recv_timeout(patience).map_err(|_| "a server did not say that it is ready")??)
    }

    /// All that it prints, if it ends by itself in time and well.
    pub fn output(mut self, patience: Duration) -> Result<String, Box<dyn Error>> {
        let out = self.0.stdout.take().ok_or("its output is not read")?;
        let reader = std::thread::spawn(move || std::io::read_to_string(out));
        let end = Instant::now() + patience;
        while Instant::now() < end {
            if let Some(status) = self.0.try_wait()? {
                let out = reader.join().map_err(|_| "its output could not be read")??;
                return if status.success() { Ok(out) } else { Err(format!("{status}: {out}").into()) };
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Err("a program took too long".into())
    }

    /// The time of processors that all its threads have taken, in the kernel too.
    pub fn cpu_time(&self) -> Result<Duration, Box<dyn Error>> {
        let pid = Pid::from_raw(i32::try_from(self.0.id())?);
        Ok(clock_getcpuclockid(pid)?.now()?.into())
    }

    pub fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn first_line(out: ChildStdout) -> std::io::Result<String> {
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    Ok(line)
}
