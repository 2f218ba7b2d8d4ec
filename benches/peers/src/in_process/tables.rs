//! The results as Markdown.

use std::fmt::Write;

use super::measure::{KNOWN, PLAIN, UNCACHED};
use super::peers::Role;
use super::results::{Accepted, Allocations, Answers, Matrix, Measured, Results};
use crate::report::versions;
use crate::statistics::Estimate;

const OURS: &str = "portcullis";

/// All of them.
pub fn all(results: &Results, allocations: &Allocations) -> String {
    [
        costs(results, allocations),
        refusals(results),
        matrix(&results.matrix),
        configurations(results),
        goals(results),
    ]
    .join("\n")
}

/// What a good token costs with each, by algorithm.
pub fn costs(results: &Results, allocations: &Allocations) -> String {
    let mut text = String::new();
    for measured in &results.algorithms {
        let Measured { algorithm, token_bytes, .. } = measured;
        let _ = writeln!(
            text,
            "**{algorithm}** (token of {token_bytes} bytes; {} rounds, {} tokens)\n\n\
             | | µs in all | µs beyond the no-op layer | × portcullis with its cache off | × portcullis, token known, guard and limit | allocations |\n\
             |---|--:|--:|--:|--:|--:|",
            results.rounds, results.tokens,
        );
        let mut rows: Vec<&Accepted> = measured.accepted.iter().collect();
        rows.sort_by(|a, b| beyond(a).total_cmp(&beyond(b)));
        for row in rows {
            let allocated = allocations.of(algorithm, &row.label).map_or("not counted".into(), count);
            let _ = writeln!(
                text,
                "| {} | {:.2} | {} | {} | {} | {} |",
                row.label,
                row.whole,
                row.beyond.map_or("".into(), |beyond| format!("{:.2}", beyond.median)),
                ratio(row.to_uncached),
                ratio(row.to_known),
                if row.role == Role::Nothing { String::new() } else { allocated },
            );
        }
        if !measured.without.is_empty() {
            let _ = writeln!(text, "\nNot supported: {}.", measured.without.join(", "));
        }
        text.push('\n');
    }
    text
}

/// What a bad token costs with each who judges them.
pub fn refusals(results: &Results) -> String {
    let mut text = String::new();
    for measured in &results.algorithms {
        let _ = writeln!(
            text,
            "**{}**\n\n| | malformed, µs | × portcullis | signature of another token, µs | × portcullis |\n|---|--:|--:|--:|--:|",
            measured.algorithm,
        );
        for row in &measured.refused {
            let _ = writeln!(
                text,
                "| {} | {:.2} | {} | {:.2} | {} |",
                row.label,
                row.malformed,
                ratio(Some(row.malformed_to_ours)),
                row.forged,
                ratio(Some(row.forged_to_ours)),
            );
        }
        text.push('\n');
    }
    text
}

/// Who answers what; what should be otherwise stands in bold.
pub fn matrix(matrix: &Matrix) -> String {
    // Of ourselves once: all forms answer alike, or the run would have failed.
    let shown: Vec<_> =
        matrix.answers.iter().filter(|answers| answers.name != OURS || answers.label == PLAIN).collect();
    let names: Vec<&str> = shown.iter().map(|answers| answers.name.as_str()).collect();
    let mut text = format!("| | {} |\n|---|{}\n", names.join(" | "), "--:|".repeat(names.len()));
    for (place, case) in matrix.cases.iter().enumerate() {
        let statuses: Vec<String> = shown
            .iter()
            .map(|answers| answers.statuses[place])
            .map(
                |status| {
                    if matrix.right(place, status) { status.to_string() } else { format!("**{status}**") }
                },
            )
            .collect();
        let _ = writeln!(text, "| {case} | {} |", statuses.join(" | "));
    }
    text
}

/// How each was configured, and what it does not check.
pub fn configurations(results: &Results) -> String {
    let mut text =
        String::from("| | cryptography | configuration | bad cases that it accepts |\n|---|---|---|---|\n");
    for peer in &results.peers {
        let answers = results.matrix.answers.iter().find(|answers| answers.name == peer.name);
        let unchecked =
            answers.map_or("it judges no tokens".into(), |answers| unchecked(&results.matrix, answers));
        let version = versions::of(&peer.name).last().copied().unwrap_or_default();
        let _ = writeln!(
            text,
            "| {} {version} | {} | {} | {unchecked} |",
            peer.name, peer.cryptography, peer.configuration
        );
    }
    text
}

/// The cases that one of them accepts and should not.
fn unchecked(matrix: &Matrix, answers: &Answers) -> String {
    let cases = matrix.cases.iter().zip(&matrix.accepted).zip(&answers.statuses);
    let accepted = cases.filter(|((_, accepted), status)| !**accepted && (200..300).contains(*status));
    let names: Vec<&str> = accepted.map(|((name, _), _)| name.as_str()).collect();
    if names.is_empty() { "none of them".into() } else { names.join("; ") }
}

/// What was wanted of the whole, and what came out.
pub fn goals(results: &Results) -> String {
    let mut text = String::from("| | wanted | median | 95 % interval | |\n|---|--:|--:|--:|---|\n");
    for measured in &results.algorithms {
        let Some(best) = best_peer(measured) else { continue };
        let algorithm = &measured.algorithm;
        let to_known = best.to_known.expect("a peer costs something");
        let least = match algorithm.as_str() {
            "RS256" => Some(45.0),
            "ES256" => Some(110.0),
            _ => None,
        };
        let what = format!("{algorithm}: best peer ({}) over known, guard and limit", best.label);
        goal(&mut text, &what, to_known, least.map(Goal::AtLeast));
        let to_uncached = best.to_uncached.expect("a peer costs something");
        let inverse = Estimate {
            median: 1.0 / to_uncached.median,
            low: 1.0 / to_uncached.high,
            high: 1.0 / to_uncached.low,
        };
        let what = format!("{algorithm}: cache off over best peer ({})", best.label);
        goal(&mut text, &what, inverse, (algorithm == "RS256").then_some(Goal::AtMost(0.85)));
        let known = measured.accepted.iter().find(|row| row.label == KNOWN).expect("we take part");
        let what = format!("{algorithm}: router with known, guard and limit over router with a no-op layer");
        goal(&mut text, &what, known.over_open, Some(Goal::AtMost(1.6)));
    }
    text
}

/// The peer that takes least for a good token, verifying it.
pub fn best_peer(measured: &Measured) -> Option<&Accepted> {
    let peers = measured.accepted.iter().filter(|row| row.role == Role::Verifies && row.label != UNCACHED);
    peers.min_by(|a, b| beyond(a).total_cmp(&beyond(b)))
}

enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

fn goal(text: &mut String, what: &str, seen: Estimate, goal: Option<Goal>) {
    let (wanted, verdict) = match goal {
        Some(Goal::AtLeast(least)) => (format!("≥ {least}"), met(seen.median >= least)),
        Some(Goal::AtMost(most)) => (format!("≤ {most}"), met(seen.median <= most)),
        None => (String::new(), ""),
    };
    let _ = writeln!(
        text,
        "| {what} | {wanted} | {:.2} | {:.2} to {:.2} | {verdict} |",
        seen.median, seen.low, seen.high
    );
}

const fn met(met: bool) -> &'static str {
    if met { "met" } else { "**missed**" }
}

fn beyond(row: &Accepted) -> f64 {
    row.beyond.map_or(0.0, |beyond| beyond.median)
}

/// To two or three significant digits.
fn ratio(ratio: Option<Estimate>) -> String {
    ratio.map_or(String::new(), |Estimate { median, low, high }| {
        let digits = match median {
            0.0..0.1 => 3,
            0.1..10.0 => 2,
            10.0..100.0 => 1,
            _ => 0,
        };
        format!("{median:.digits$} ({low:.digits$} to {high:.digits$})")
    })
}

fn count(count: f64) -> String {
    if count.fract() == 0.0 { format!("{count:.0}") } else { format!("{count:.1}") }
}
