//! From results to the documentation: `docs/performance.md` and its charts.

mod blocks;
mod chart_style;
mod charts;
mod machine;
pub mod versions;

use std::fs;
use std::path::Path;

use crate::in_process::results::{Allocations, Results};
use crate::in_process::{self, tables};
use crate::kept::{folder, read, repository};

/// Replaces every marked block for which there are results, and says which ones it left as they were.
///
/// # Panics
/// If the document is not there or cannot be written.
pub fn run() {
    let path = repository().join("docs/performance.md");
    let mut document = fs::read_to_string(&path).expect("the document");
    let results: Option<Results> = read(in_process::RESULTS);
    let allocations: Allocations = read(in_process::ALLOCATIONS).unwrap_or_default();
    let mut left = Vec::new();
    for name in blocks::names(&document) {
        match results
            .as_ref()
            .and_then(|results| generate(&name, results, &allocations))
            .or_else(|| printed(&name))
        {
            Some(text) => document = blocks::replace(&document, &name, &text),
            None => left.push(name),
        }
    }
    fs::write(&path, document).expect("the document");
    eprintln!("wrote {}", path.display());
    if !left.is_empty() {
        eprintln!("NO RESULTS for these blocks, which stay as they were: {}", left.join(", "));
    }
    chart("peers.svg", |path| charts::peers(results.as_ref()?, path));
    chart("growth.svg", |path| charts::growth(&read("growth.json")?, path));
}

/// Draws a chart if there are results for it.
fn chart(name: &str, draw: impl FnOnce(&Path) -> Option<()>) {
    match draw(&repository().join("docs").join(name)) {
        Some(()) => eprintln!("wrote docs/{name}"),
        None => eprintln!("NO RESULTS for docs/{name}, which stays as it was"),
    }
}

/// What is made of the results of this program.
fn generate(name: &str, results: &Results, allocations: &Allocations) -> Option<String> {
    match name {
        "machine" => Some(machine::describe(results)),
        "peers" => Some(tables::costs(results, allocations)),
        "peers-refusals" => Some(tables::refusals(results)),
        "peers-matrix" => Some(tables::matrix(&results.matrix)),
        "peers-configurations" => Some(tables::configurations(results)),
        "peers-goals" => Some(tables::goals(results)),
        _ => None,
    }
}

/// What another program printed as Markdown: `cargo bench`, or what goes over the wire.
fn printed(name: &str) -> Option<String> {
    let text = fs::read_to_string(folder().join(name).with_extension("md")).ok()?;
    Some(text.lines().filter(|line| !line.starts_with("# ")).map(nested).collect::<Vec<_>>().join("\n"))
}

/// A heading beneath that of the section; the title of the whole has none there.
fn nested(line: &str) -> String {
    if line.starts_with('#') { format!("#{line}") } else { line.into() }
}
