//! The list of revocations in memory: how long entries stay, how many there may be, and that marks are the same everywhere.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use portcullis::test_util::ManualClock;
use portcullis::{Clock as _, Mark, MemoryRevocations, Revocations, RevocationsFull};

use super::seconds;

const ID: &str = "https://id.example";

/// Computed with another implementation: SHA-256 over kind, authority and value, each after its length in eight bytes.
#[test]
fn marks_are_the_same_in_every_process() {
    for (mark, expected) in [
        (Mark::token("abc"), "616dbfe3ebee19b41d7c75c66dd19bf9b0e3513bd3796db84568e4d42584048a"),
        (Mark::token("é"), "6e4d3a3bc9cc33e6f2f841970482d45fbf79330e456c82f02701ad97fcf7a72d"),
        (Mark::jti(ID, "1"), "9002a6337cf05c6d8a86e24b278e57f12c9a36ae6be9d504ee878e54c7e271c1"),
        (Mark::session(ID, "1"), "52c42ec73516a266fd788772f8b7f64455a28f0e89a359d7348d61a9dc6c8562"),
        (Mark::subject(ID, "ann"), "4e4c57ea925ac94e7188601ba035a75ed1d77895d74bd8a99747380c9fef3eab"),
        (Mark::client("api-key", "app"), "b703145c3b0d4c8874199c5a9f2f1b34ba7dce774bda59b6aa7396cc3c708dff"),
        (Mark::subject("", ""), "5c292a49d759a8ec3a7da6dd8282959d57acb8fb4ab30718161072e100c282cf"),
    ] {
        let hex = mark.as_bytes().iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        assert_eq!(hex, expected);
        assert_eq!(Mark::from_bytes(*mark.as_bytes()), mark);
        assert!(!format!("{mark:?}").contains(&expected[..32]), "{mark:?}");
    }
}

#[test]
fn an_entry_leaves_when_nothing_it_speaks_of_can_be_valid_and_not_before() {
    let (lifetime, slack, moment) = (seconds(3600), seconds(300), Duration::from_nanos(1));
    let mark = Mark::subject(ID, "ann");
    // Entered for what was issued before a time that is so much later than now.
    for before in [None, Some(Duration::ZERO), Some(seconds(100))] {
        let clock = ManualClock::now();
        let list = MemoryRevocations::new(lifetime).clock(clock.clone());
        let issued = clock.now() - seconds(1);
        match before {
            None => list.revoke(mark).unwrap(),
            Some(later) => list.revoke_before(mark, clock.now() + later).unwrap(),
        }
        clock.advance(before.unwrap_or_default() + lifetime + slack - moment);
        assert_eq!((list.len(), list.is_revoked(&mark, Some(issued))), (1, true), "{before:?}");
        list.revoke(Mark::token("another entry, which clears away")).unwrap();
        assert!(list.is_revoked(&mark, Some(issued)), "{before:?}");
        clock.advance(moment);
        assert_eq!((list.len(), list.is_revoked(&mark, Some(issued))), (1, false), "{before:?}");
    }
}

#[test]
fn entering_it_once_more_keeps_it_longer_and_never_shorter() {
    let (clock, mark) = (ManualClock::now(), Mark::subject(ID, "ann"));
    let list = MemoryRevocations::new(seconds(3600)).clock(clock.clone());
    list.revoke_before(mark, clock.now() + seconds(1000)).unwrap();
    list.revoke_before(mark, clock.now()).unwrap();
    clock.advance(seconds(1000 + 3600 + 299));
    assert!(list.is_revoked(&mark, None) && list.len() == 1);
    list.revoke(mark).unwrap();
    clock.advance(seconds(3600 + 299));
    assert!(list.is_revoked(&mark, None) && list.len() == 1);
    clock.advance(seconds(1));
    assert!(list.is_empty() && !list.is_revoked(&mark, None));
}

#[test]
fn a_full_list_says_so_and_forgets_nothing() {
    let clock = ManualClock::now();
    let list = MemoryRevocations::new(seconds(3600)).clock(clock.clone()).capacity(3);
    let mark = |number: usize| Mark::jti(ID, &number.to_string());
    for number in 0..3 {
        clock.advance(seconds(10));
        list.revoke(mark(number)).unwrap();
    }
    let clone = list.clone();
    assert_eq!(clone.revoke(mark(3)), Err(RevocationsFull));
    assert_eq!(clone.revoke_before(mark(3), clock.now()), Err(RevocationsFull));
    assert_eq!(list.revoke(mark(0)), Ok(()), "what is there needs no place");
    assert!((0..3).all(|number| clone.is_revoked(&mark(number), None)) && !list.is_revoked(&mark(3), None));
    // The second is the next to go.
    clock.advance(seconds(3600 + 300 - 10));
    assert_eq!((list.revoke(mark(3)), list.revoke(mark(4))), (Ok(()), Err(RevocationsFull)));
    assert_eq!([0, 1, 2, 3].map(|number| list.is_revoked(&mark(number), None)), [true, false, true, true]);
}

#[test]
fn the_default_is_a_hundred_thousand_entries() {
    let list = MemoryRevocations::new(seconds(3600));
    for number in 0..100_000_u32 {
        list.revoke(Mark::jti(ID, &number.to_string())).unwrap();
    }
    assert_eq!((list.revoke(Mark::jti(ID, "one more")), list.len()), (Err(RevocationsFull), 100_000));
}

#[test]
fn an_entry_counts_from_when_it_was_entered_whoever_looks_up_meanwhile() {
    let list = MemoryRevocations::new(seconds(3600));
    let mark = |thread: usize, number: usize| Mark::jti(&thread.to_string(), &number.to_string());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|thread| {
                let (list, mark) = (list.clone(), &mark);
                scope.spawn(move || {
                    for number in 0..5_000 {
                        assert!(!list.is_revoked(&mark(thread, number), None));
                        list.revoke(mark(thread, number)).unwrap();
                        assert!(list.is_revoked(&mark(thread, number), None));
                    }
                })
            })
            .collect();
        let (list, mark, done) = (list.clone(), &mark, &done);
        scope.spawn(move || {
            // Once it is revoked it stays so, and what nobody revoked never is.
            let mut seen = 0;
            while !done.load(Ordering::Acquire) {
                seen += (seen..5_000).take_while(|number| list.is_revoked(&mark(0, *number), None)).count();
                assert!(seen == 0 || list.is_revoked(&mark(0, seen - 1), None));
                assert!(!list.is_revoked(&mark(9, seen), None));
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Release);
    });
    assert_eq!(list.len(), 20_000);
}
