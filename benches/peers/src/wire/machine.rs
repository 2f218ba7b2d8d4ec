//! Where it was measured.

use std::error::Error;
use std::fs;

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

/// Of the last minute: what others did before, and what this run did after.
fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
