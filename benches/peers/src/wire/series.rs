//! Loads of several servers in turns: each round takes every server once, the next one in the opposite order.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use super::client::Client;
use super::load::{Load, Wrk};
use super::machine::Cores;
use super::probes::{self, Probe, Refusals};
use super::serve::{Signature, What};
use super::servers::{Keys, Kind, Server, Surroundings};

/// What is measured together.
pub struct Plan {
    /// The part of `wire` that it belongs to.
    pub part: &'static str,
    pub signature: Signature,
    pub kinds: Vec<Kind>,
    /// How many users come, with a token each.
    pub users: usize,
    /// Requests to each server before it is loaded, and for each user one at least.
    pub warm_up: usize,
    pub rounds: usize,
    /// How long each load takes.
    pub seconds: u32,
    /// Whether each server has more than one thread, so that it shares its cores with wrk.
    pub shares_cores: bool,
}

/// The issuer and its users.
pub struct Fixture {
    pub keys: Keys,
    /// Tokens, and the file that they are in.
    pub credentials: Credentials,
    pub probes: Vec<Probe>,
}

#[derive(Clone)]
pub struct Credentials {
    pub header: String,
    pub values: Vec<String>,
    pub file: PathBuf,
}

impl Credentials {
    pub fn write(header: String, values: Vec<String>, file: PathBuf) -> Result<Self, Box<dyn Error>> {
        std::fs::write(&file, values.join("\n") + "\n")?;
        Ok(Self { header, values, file })
    }
}

/// What the servers of a series did: `rounds[round][server]`.
pub struct Measured {
    pub kinds: Vec<Kind>,
    pub versions: Vec<String>,
    pub refusals: Vec<Refusals>,
    pub rounds: Vec<Vec<Load>>,
}

impl Plan {
    /// # Errors
    /// If a server does not start, lets the wrong ones in or does not let the right ones in, or a load fails.
    pub fn run(
        &self,
        surroundings: &Surroundings,
        wrk: &Wrk,
        fixture: &Fixture,
        deadline: Instant,
    ) -> Result<Measured, Box<dyn Error>> {
        let Cores(first, second) = &surroundings.cores;
        let both = surroundings.cores.both();
        let [server_cores, wrk_cores] = if self.shares_cores { [&both, &both] } else { [first, second] };
        let start = |kind: &Kind| kind.start(surroundings, &fixture.keys, self.users, server_cores);
        let mut servers = self.kinds.iter().map(start).collect::<Result<Vec<Server>, _>>()?;
        let made_by_server = servers.iter_mut().find_map(|server| server.credentials.take());
        let credentials = match made_by_server {
            Some((header, values)) => {
                Credentials::write(header, values, surroundings.folder.join("api-keys.txt"))?
            }
            None => fixture.credentials.clone(),
        };
        let mut refusals = Vec::new();
        for (kind, server) in self.kinds.iter().zip(&servers) {
            let named = |error| format!("{}: {error}", server.name);
            check(*kind, server, &credentials, self.warm_up).map_err(named)?;
            if !kind.is_open() && !kind.has_api_keys() {
                refusals.push(probes::ask(&fixture.probes, *kind, server).map_err(named)?);
            }
        }
        let load = |server: &Server| {
            wrk.load(server, &credentials.header, &credentials.file, self.seconds, wrk_cores)
        };
        for (kind, server) in self.kinds.iter().zip(&servers) {
            // Its compiler needs more than the others to be done.
            if matches!(kind, Kind::Node(_)) && self.rounds > 1 {
                load(server)?;
            }
        }
        let rounds = self.take_turns(&servers, load, deadline)?;
        let mut versions: Vec<String> = servers.into_iter().flat_map(|server| server.versions).collect();
        versions.sort();
        versions.dedup();
        Ok(Measured { kinds: self.kinds.clone(), versions, refusals, rounds })
    }

    fn take_turns(
        &self,
        servers: &[Server],
        load: impl Fn(&Server) -> Result<Load, Box<dyn Error>>,
        deadline: Instant,
    ) -> Result<Vec<Vec<Load>>, Box<dyn Error>> {
        let mut rounds = Vec::with_capacity(self.rounds);
        for round in 0..self.rounds {
            if round > 0 && Instant::now() > deadline {
                eprintln!("wire: out of time after {round} of {} rounds", self.rounds);
                break;
            }
            let mut loads: Vec<Load> = if round % 2 == 0 {
                servers.iter().map(&load).collect::<Result<_, _>>()?
            } else {
                servers.iter().rev().map(&load).collect::<Result<_, _>>()?
            };
            if round % 2 == 1 {
                loads.reverse();
            }
            rounds.push(loads);
        }
        Ok(rounds)
    }
}

/// Every credential is let in, as often as it takes to warm up; a changed one and none are not, unless the server is open.
fn check(
    kind: Kind,
    server: &Server,
    credentials: &Credentials,
    warm_up: usize,
) -> Result<(), Box<dyn Error>> {
    let header = credentials.header.as_str();
    let mut client = Client::connect(server.port)?;
    let times = credentials.values.len().max(warm_up);
    for value in credentials.values.iter().cycle().take(times) {
        let answer = client.get(Some((header, value)))?;
        if (answer.status, answer.body.as_str()) != (200, "ok") {
            return Err(format!("a good credential is answered {answer:?}").into());
        }
    }
    let changed = changed(credentials.values.first().ok_or("no credentials")?);
    let expected = if kind.is_open() { 200 } else { 401 };
    for presented in [Some((header, changed.as_str())), None] {
        // Who refuses may close the connection.
        let answer = Client::connect(server.port)?.get(presented)?;
        if answer.status != expected {
            let what = if presented.is_some() { "a changed credential" } else { "no credential" };
            return Err(format!("{what} is answered {}, not {expected}", answer.status).into());
        }
    }
    Ok(())
}

/// One character of the signature, or of the key's secret, is another one.
fn changed(credential: &str) -> String {
    let place = credential.len() - 20;
    let other = if credential[place..].starts_with('A') { "B" } else { "A" };
    [&credential[..place], other, &credential[place + 1..]].concat()
}

/// Whose cost is compared with that of others, where a series has them.
pub const CACHED: Kind = Kind::Portcullis { what: What::Cached, threads: 1 };
pub const UNCACHED: Kind = Kind::Portcullis { what: What::Uncached, threads: 1 };
