//! Extracts the first program of the README, and compares the dependencies that the README names
//! with those of this crate.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

const README: &str = "../../README.md";
const MANIFEST: &str = "Cargo.toml";

/// The features of each dependency, by its name.
type Dependencies = BTreeMap<String, Vec<String>>;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={README}");
    println!("cargo::rerun-if-changed={MANIFEST}");
    let readme = fs::read_to_string(README)?;
    let (named, used) = (named(&readme), used(&fs::read_to_string(MANIFEST)?));
    if named != used {
        return Err(format!("the README names {named:?}, but {MANIFEST} has {used:?}").into());
    }
    let program = first_program(&readme).ok_or("the README has no block of Rust")?;
    fs::write(Path::new(&std::env::var("OUT_DIR")?).join("program.rs"), program)?;
    Ok(())
}

fn first_program(readme: &str) -> Option<&str> {
    let (_, rest) = readme.split_once("\n```rust")?;
    let (_, rest) = rest.split_once('\n')?;
    rest.split_once("\n```").map(|(program, _)| program)
}

/// Reads the lines `cargo add NAME[@VERSION] [--features ONE,OTHER]`.
fn named(readme: &str) -> Dependencies {
    let lines = readme.lines().filter_map(|line| line.strip_prefix("cargo add "));
    lines
        .map(|line| {
            let (name, features) = line.split_once(" --features ").unwrap_or((line, ""));
            let name = name.split('@').next().unwrap_or(name);
            let features = features.split(',').filter(|feature| !feature.is_empty());
            (name.to_owned(), features.map(str::to_owned).collect())
        })
        .collect()
}

/// Reads the lines between `[dependencies]` and the next table.
fn used(manifest: &str) -> Dependencies {
    let lines = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    lines
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, value)| {
            let (_, features) = value.split_once("features = [").unwrap_or_default();
            // Every second part of a list stands between quotes.
            let features = features.split('"').skip(1).step_by(2);
            (name.to_owned(), features.map(str::to_owned).collect())
        })
        .collect()
}
