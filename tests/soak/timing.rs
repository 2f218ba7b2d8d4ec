//! How long refusals of API keys take, and whether that tells how much of a secret was right. Reported, not judged: a machine that
//! others use has its own reasons to be slow.

use std::time::{Duration, Instant};

use http::Request;
use portcullis::{
    ApiKeyAuthenticator, ApiKeys, Authenticator as _, Credential, MemoryApiKeyStore, Presentation, Reason,
    RequestContext,
};

use crate::Plan;
use crate::api_keys::issue;
use crate::sealed::sealed;

/// Characters of a key's secret, and of the checksum behind it.
const SECRET: usize = 27;
const CHECKSUM: usize = 6;

pub async fn run(plan: &Plan) -> bool {
    let keys = ApiKeys::builder("todo_live", MemoryApiKeyStore::new()).build().unwrap();
    let key = issue(&keys).await.key;
    let authenticator = ApiKeyAuthenticator::new(keys);
    let good = key.expose();
    let first = differs_at(good, good.len() - CHECKSUM - SECRET);
    let last = differs_at(good, good.len() - CHECKSUM - 1);
    let unknown = differs_at(good, good.len() - CHECKSUM - SECRET - 1);
    let malformed = format!("{}-", &good[..good.len() - 1]);
    for (text, reason) in [
        (&first, Reason::ApiKeyUnknown),
        (&last, Reason::ApiKeyUnknown),
        (&unknown, Reason::ApiKeyUnknown),
        (&malformed, Reason::ApiKeyMalformed),
    ] {
        assert_eq!(refusal(&authenticator, text).await.1, Some(reason));
    }
    assert_eq!(refusal(&authenticator, good).await.1, None);
    for (what, one, other) in [
        ("first or last character of the secret wrong", &first, &last),
        ("the same key twice, for comparison", &first, &first),
        ("secret wrong or id unknown, which is no secret", &first, &unknown),
    ] {
        let samples = interleaved(&authenticator, [one, other], plan.timings).await;
        let all = samples.each_ref().map(|samples| samples[..].to_vec());
        let usual = all.clone().map(without_the_slowest);
        println!(
            "timing: {what}: medians {:.0} and {:.0} ns, t = {:.2}; without the slowest tenth t = {:.2} ({} samples each)",
            median(&all[0]),
            median(&all[1]),
            welch(&all),
            welch(&usual),
            plan.timings,
        );
    }
    let [samples, _] = interleaved(&authenticator, [&malformed, &malformed], plan.timings).await;
    println!("timing: a malformed key is refused in {:.0} ns (median)", median(&samples));
    true
}

/// The key with another character there, and the right checksum.
fn differs_at(key: &str, place: usize) -> String {
    let other = if &key[place..=place] == "a" { "b" } else { "a" };
    sealed(&format!("{}{other}{}", &key[..place], &key[place + 1..key.len() - CHECKSUM]))
}

/// Straight from the authenticator, which remembers nothing.
async fn refusal(authenticator: &ApiKeyAuthenticator, key: &str) -> (Duration, Option<Reason>) {
    let (request, presentation) = (Request::new(()), Presentation::scheme("ApiKey"));
    let (credential, context) = (Credential::new(&presentation, key), RequestContext::new(&request));
    let start = Instant::now();
    let verdict = authenticator.authenticate(&credential, &context).verdict().await;
    (start.elapsed(), verdict.err().map(|error| error.reason()))
}

/// Nanoseconds of both, taken in turns and each as often first as second.
async fn interleaved(
    authenticator: &ApiKeyAuthenticator,
    texts: [&String; 2],
    count: usize,
) -> [Vec<f64>; 2] {
    let mut samples = [Vec::with_capacity(count), Vec::with_capacity(count)];
    for round in 0..count + 1000 {
        for turn in 0..2 {
            let which = (round + turn) % 2;
            let (took, _) = refusal(authenticator, texts[which]).await;
            // The first ones warm up.
            if round >= 1000 {
                samples[which].push(took.as_nanos() as f64);
            }
        }
    }
    samples
}

fn without_the_slowest(mut samples: Vec<f64>) -> Vec<f64> {
    samples.sort_by(f64::total_cmp);
    samples.truncate(samples.len() * 9 / 10);
    samples
}

fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Welch's t: beyond 4.5 either way two distributions differ, as a rule of thumb.
fn welch(samples: &[Vec<f64>; 2]) -> f64 {
    let [one, other] = samples.each_ref().map(|samples| {
        let count = samples.len() as f64;
        let mean = samples.iter().sum::<f64>() / count;
        let variance = samples.iter().map(|sample| (sample - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    });
    (one.0 - other.0) / (one.1 + other.1).sqrt()
}
