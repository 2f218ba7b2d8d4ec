//! What was measured, as tables in Markdown.

use std::fmt::{self, Display, Formatter};

use super::load::CONNECTIONS;
use super::report::{BesideOurs, Goal, Machine, OverOpen, Report, Series, ServerNumbers};
use crate::statistics::Estimate;

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Machine { processor, cores, kernel, load_average_before, load_average_after, versions } =
            &self.machine;
        writeln!(f, "# Over the wire\n")?;
        if self.quick {
            writeln!(f, "A quick run, with too few rounds: these numbers are not for the record.\n")?;
        }
        for skipped in &self.skipped {
            writeln!(f, "**Skipped**: {skipped}\n")?;
        }
        writeln!(f, "{processor}, {cores} cores, Linux {kernel}; {}.", versions.join(", "))?;
        writeln!(f, "Load average {load_average_before} before, {load_average_after} after.\n")?;
        writeln!(
            f,
            "HTTP/1.1 over loopback, {CONNECTIONS} connections that are kept, one thread of wrk; each request comes with the\n\
             next user's credential. CPU time is that of the server's process, user and system, for each request that was\n\
             answered. All numbers are medians over rounds, in which the servers take turns; in brackets 95 % bootstrap\n\
             intervals. Every answer was a success; a changed credential and none were answered 401 before each series. The\n\
             connections send as fast as they are answered, so latency is that of a server with all that it can do."
        )?;
        self.series.iter().try_for_each(|series| series.fmt(f))?;
        f.write_str(include_str!("setup.md"))
    }
}

impl Display for Series {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { part, credentials, users, seconds, rounds, .. } = self;
        writeln!(f, "\n## {part}: {credentials} of {users} users\n")?;
        let cores = if self.shares_cores {
            "Two threads serve and share both cores with wrk, so throughput and latency say little, and CPU time does."
        } else {
            "The server has one core, wrk the other."
        };
        writeln!(f, "Rounds: {rounds}; seconds of each load: {seconds}. {cores}\n")?;
        writeln!(
            f,
            "| server | CPU µs per request | requests/s | cores busy | p50 µs | p90 µs | p99 µs | max µs |"
        )?;
        writeln!(f, "|---|--:|--:|--:|--:|--:|--:|--:|")?;
        for ServerNumbers { name, cpu, requests_per_second, busy, p50, p90, p99, max, .. } in &self.servers {
            let per_second = requests_per_second.median;
            writeln!(
                f,
                "| {name} | {} | {per_second:.0} | {busy:.2} | {p50:.0} | {p90:.0} | {p99:.0} | {max:.0} |",
                Shown(*cpu, 2)
            )?;
        }
        writeln!(
            f,
            "\n| protected over open | CPU time, ratio | CPU µs added | requests/s, ratio | p99, ratio |"
        )?;
        writeln!(f, "|---|--:|--:|--:|--:|")?;
        for OverOpen { name, cpu_ratio, cpu_added, throughput_ratio, p99_ratio, .. } in &self.over_open {
            let [cpu, throughput] = [Shown(*cpu_ratio, 3), Shown(*throughput_ratio, 3)];
            writeln!(
                f,
                "| {name} | {cpu} | {} | {throughput} | {} |",
                Shown(*cpu_added, 2),
                Shown(*p99_ratio, 2)
            )?;
        }
        if !self.beside_ours.is_empty() {
            writeln!(f, "\n| CPU time added, over that of portcullis | cached | cache off |\n|---|--:|--:|")?;
        }
        for BesideOurs { name, over_cached, over_uncached } in &self.beside_ours {
            writeln!(f, "| {name} | {} | {} |", Shown(*over_cached, 0), Shown(*over_uncached, 2))?;
        }
        self.fmt_refusals(f)?;
        if let Some(Goal { at_most, measured, is_met }) = &self.goal {
            let verdict = if *is_met { "met" } else { "**not met**" };
            writeln!(
                f,
                "\nGoal for the cached path, at most {at_most} times the CPU time: {verdict} at {}.",
                Shown(*measured, 3)
            )?;
        }
        Ok(())
    }
}

impl Series {
    /// Only where there are peers: portcullis alone refuses them all, or nothing is measured.
    fn fmt_refusals(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (Some(first), false) = (self.refusals.first(), self.beside_ours.is_empty()) else {
            return Ok(());
        };
        write!(f, "\n| answer to a token that is |")?;
        self.refusals.iter().try_for_each(|server| write!(f, " {} |", server.name))?;
        writeln!(f, "\n|---|{}", "--:|".repeat(self.refusals.len()))?;
        for (row, (probe, _)) in first.answers.iter().enumerate() {
            write!(f, "| {probe} |")?;
            self.refusals.iter().try_for_each(|server| write!(f, " {} |", server.answers[row].1))?;
            writeln!(f)?;
        }
        Ok(())
    }
}

/// With so many digits.
struct Shown(Estimate, usize);

impl Display for Shown {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(Estimate { median, low, high }, digits) = self;
        let text = |value: &f64| {
            if value.is_finite() { format!("{value:.digits$}") } else { "beyond measure".into() }
        };
        if median.is_finite() {
            write!(f, "{} ({} to {})", text(median), text(low), text(high))
        } else {
            f.write_str(&text(median))
        }
    }
}
