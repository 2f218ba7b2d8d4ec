//! Which versions of crates were built: as the lock file of this package tells.

const LOCK: &str = include_str!("../../Cargo.lock");

/// The versions of this crate that are in the program, in ascending order.
pub fn of(name: &str) -> Vec<&'static str> {
    let name = format!("name = \"{name}\"");
    let version = |line: &'static str| line.strip_prefix("version = \"")?.strip_suffix('"');
    let pairs = LOCK.lines().zip(LOCK.lines().skip(1));
    pairs.filter(|(line, _)| *line == name).filter_map(|(_, next)| version(next)).collect()
}
