//! Everybody in one process: the same route, the same key, the same tokens, in turns.

#[cfg(feature = "count-allocations")]
pub mod allocations;
mod matrix;
pub mod measure;
pub mod peers;
pub mod results;
mod route;
pub mod tables;
mod tokens;

use std::sync::Arc;

use clap::Args;
use portcullis::Algorithm;
use portcullis::test_util::{FakeAuthorizationServer, SigningKey};
use tokio::runtime::{Builder, Runtime};

use crate::fixture::ALGORITHMS;
use crate::kept;
use peers::{About, Candidate, Setup, Twin};
use results::{Described, Matrix, Measured, Results};
use tokens::Tokens;

/// The names of the files.
pub const RESULTS: &str = "peers.json";
pub const ALLOCATIONS: &str = "peers-allocations.json";

/// As long as the thumbprint of a key, which many use (RFC 7638).
const KID: &str = "mB8vT2kq0RrWm4Xn7YcLzE5sJdHf1uGpAoQeVbKiZxU";

#[derive(Args)]
pub struct Options {
    /// How often everybody takes a turn with good tokens; with bad ones half as often.
    #[arg(long, default_value_t = 400)]
    rounds: usize,
}

/// Measures, keeps the results and prints them as Markdown.
///
/// # Panics
/// If somebody answers otherwise than it is said of him.
pub fn run(options: &Options) {
    assert!(options.rounds >= 2, "an interval needs several rounds");
    let runtimes = Runtimes::new();
    let (mut described, mut matrix, mut algorithms) = (Vec::new(), None, Vec::new());
    for algorithm in ALGORITHMS {
        eprintln!("{algorithm}: making tokens");
        let Prepared { setup, tokens, mut candidates, without, twins } = prepare(&runtimes, algorithm);
        twins.into_iter().for_each(|twin| twin.check(&runtimes.driver));
        if algorithm == Algorithm::RS256 {
            described = describe(&candidates);
            matrix = Some(checked_matrix(&runtimes.driver, &setup, &mut candidates));
        }
        eprintln!("{algorithm}: {} take turns in {} rounds", candidates.len(), options.rounds);
        measure::acquaint(&runtimes.driver, &mut candidates, &tokens);
        algorithms.push(Measured {
            algorithm: algorithm.to_string(),
            token_bytes: tokens.bytes,
            accepted: measure::accepted(&runtimes.driver, &mut candidates, &tokens, options.rounds),
            refused: measure::refused(&runtimes.driver, &mut candidates, &tokens, options.rounds.div_ceil(2)),
            without: without.iter().map(|about| about.name.to_owned()).collect(),
        });
    }
    let matrix = matrix.expect("RS256 is among them");
    let results =
        Results { rounds: options.rounds, tokens: tokens::NUMBER, algorithms, peers: described, matrix };
    kept::write(RESULTS, &results);
    println!("{}", tables::all(&results, &kept::read(ALLOCATIONS).unwrap_or_default()));
}

/// One thread sends requests; another one has the authorization server and whatever runs in the background.
struct Runtimes {
    driver: Runtime,
    others: Runtime,
}

impl Runtimes {
    fn new() -> Self {
        let driver = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let others = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        Self { driver, others }
    }
}

struct Prepared {
    setup: Setup,
    tokens: Tokens,
    candidates: Vec<Candidate>,
    without: Vec<&'static About>,
    twins: Vec<Twin>,
}

fn prepare(runtimes: &Runtimes, algorithm: Algorithm) -> Prepared {
    runtimes.others.block_on(async {
        let key = SigningKey::generate(algorithm).with_kid(KID);
        let server = FakeAuthorizationServer::start_with([key]).await;
        let key = Arc::clone(&server.keys()[0]);
        let tokens = Tokens::make(&key, &server.issuer_id());
        let setup = Setup { server, key, first: tokens.good[0].clone() };
        let (candidates, without) = peers::candidates(&setup).await;
        let twins = peers::twins(&setup).await;
        Prepared { setup, tokens, candidates, without, twins }
    })
}

/// Each crate once, in the order in which they stand.
fn describe(candidates: &[Candidate]) -> Vec<Described> {
    let mut described: Vec<Described> = Vec::new();
    for about in candidates.iter().map(|candidate| candidate.about) {
        if described.iter().all(|other| other.name != about.name) {
            described.push(Described {
                name: about.name.into(),
                cryptography: about.cryptography.into(),
                configuration: about.configuration.into(),
            });
        }
    }
    described
}

/// The matrix, in which everybody does what his file says.
fn checked_matrix(driver: &Runtime, setup: &Setup, candidates: &mut [Candidate]) -> Matrix {
    let matrix = matrix::matrix(driver, setup, candidates);
    println!("{}", tables::matrix(&matrix));
    let mut wrong = Vec::new();
    for answers in &matrix.answers {
        let about =
            candidates.iter().find(|candidate| candidate.label == answers.label).expect("it took part").about;
        let seen: Vec<&str> = matrix.differences(answers).collect();
        if seen != about.differs_in {
            wrong.push(format!("{}: its file says {:?}, seen was {seen:?}", answers.label, about.differs_in));
        }
    }
    assert!(wrong.is_empty(), "what is said of them does not hold:\n{}", wrong.join("\n"));
    matrix
}
