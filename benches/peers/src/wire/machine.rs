//! Where it was measured.

use std::error::Error;
use std::fs;

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

use super::load::Wrk;
use super::report::Machine;

impl Machine {
    pub fn here(wrk: &Wrk) -> Result<Self, Box<dyn Error>> {
        let processors = fs::read_to_string("/proc/cpuinfo")?;
        let processor = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Ok(Self {
            processor: processor.map_or("an unknown processor", |(_, name)| name).to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            load_average_before: load_average(),
            load_average_after: String::new(),
            versions: vec![wrk.version()?],
        })
    }

    pub fn add(&mut self, versions: &[String]) {
        self.versions.extend_from_slice(versions);
        self.versions.sort();
        self.versions.dedup();
    }

    pub fn end(&mut self) {
        self.load_average_after = load_average();
    }
}

/// Two cores: one for a server and one for its clients.
pub struct Cores(pub String, pub String);

impl Cores {
    pub fn of_this_process() -> Result<Self, Box<dyn Error>> {
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        let mut allowed = (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false));
        let [first, second] = [allowed.next(), allowed.next()].map(|core| core.ok_or("two cores are needed"));
        Ok(Self(first?.to_string(), second?.to_string()))
    }

    pub fn both(&self) -> String {
        format!("{},{}", self.0, self.1)
    }
}

/// Of the last minute: what others did before, and what this run did after.
fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
