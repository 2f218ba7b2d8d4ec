//! What the limiter in memory guarantees when there are more callers than it was made for.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use portcullis::test_util::ManualClock;
use portcullis::{Charge, MemoryRateLimits, Quota, Quotas, RateKey, RateLimitStore};
use tokio_test::{assert_ready_ok, task};

const CELLS: usize = 256;

struct Scene {
    clock: ManualClock,
    store: MemoryRateLimits,
}

impl Scene {
    fn new() -> Self {
        let clock = ManualClock::now();
        Self { store: MemoryRateLimits::new(CELLS).clock(clock.clone()), clock }
    }

    fn ask(&self, name: &str, quotas: &Quotas) -> bool {
        ask(&self.store, name, quotas)
    }

    /// How many of so many newcomers are admitted, each of whom comes once.
    fn flood(&self, name: &str, count: usize, quotas: &Quotas) -> usize {
        (0..count).filter(|number| self.ask(&format!("{name} {number}"), quotas)).count()
    }

    /// Spends all that a caller has.
    fn exhaust(&self, name: &str, quotas: &Quotas) {
        while self.ask(name, quotas) {}
    }
}

fn ask(store: &MemoryRateLimits, name: &str, quotas: &Quotas) -> bool {
    let charge = Charge::new(RateKey::of(&[name]), quotas.as_slice(), 1);
    assert_ready_ok!(task::spawn(store.charge(&charge).answer()).poll()).granted() == 1
}

fn hourly(count: u32) -> Quotas {
    Quota::per_hour(count).unwrap().into()
}

#[test]
fn it_never_holds_more_cells_than_it_was_made_for() {
    let several = Quotas::from_static([
        ("second", Quota::per_second(1).unwrap()),
        ("hour", Quota::per_hour(10).unwrap()),
        ("day", Quota::per_day(100).unwrap()),
    ]);
    for quotas in [hourly(1), several] {
        let scene = Scene::new();
        assert!(scene.store.is_empty());
        scene.flood("newcomer", 1, &quotas);
        assert_eq!(scene.store.len(), quotas.as_slice().len());
        for round in 0..3 {
            scene.flood(&round.to_string(), 5_000, &quotas);
            assert!((CELLS / 2..=CELLS).contains(&scene.store.len()), "{}", scene.store.len());
            scene.clock.advance(Duration::from_secs(7_200));
        }
    }
}

#[test]
fn no_flood_admits_sooner_who_was_refused() {
    let scene = Scene::new();
    let quotas = hourly(3);
    for name in ["ann", "bob"] {
        scene.exhaust(name, &quotas);
    }
    for round in 0..19 {
        scene.flood(&round.to_string(), 2_000, &quotas);
        assert!(!scene.ask("ann", &quotas) && !scene.ask("bob", &quotas), "after {round} minutes");
        scene.clock.advance(Duration::from_secs(60));
    }
    // One of three an hour is back after twenty minutes, and not a second earlier.
    scene.clock.advance(Duration::from_secs(59));
    scene.flood("last", 2_000, &quotas);
    assert!(!scene.ask("ann", &quotas));
    scene.clock.advance(Duration::from_secs(1));
    scene.flood("very last", 2_000, &quotas);
    assert!(scene.ask("ann", &quotas) && !scene.ask("ann", &quotas));
}

#[test]
fn newcomers_for_whom_there_is_no_room_get_together_what_one_gets() {
    let scene = Scene::new();
    let (five, three) = (hourly(5), hourly(3));
    scene.flood("early", 20_000, &five);
    assert_eq!(scene.store.len(), CELLS);
    scene.clock.advance(Duration::from_secs(720));
    // All cells are whole again now, but for those of whom we ask once more.
    let known: Vec<_> = (0..20_000).map(|number| format!("early {number}")).collect();
    let known: Vec<_> = known.iter().filter(|name| scene.ask(name, &five)).collect();
    assert!(known.len() >= CELLS);
    assert_eq!(scene.store.len(), CELLS);
    // What is left of the cell that they share is spent, and one of it comes back each twelve minutes.
    scene.flood("any", 10, &five);
    assert_eq!(scene.flood("late", 2_000, &five), 0);
    // Other quotas have another shared cell, as large as that of one caller.
    assert_eq!(scene.flood("others", 2_000, &three), 3);
    assert_eq!(scene.store.len(), CELLS);
    // Those who have a cell of their own do not notice.
    let own = known.iter().filter(|name| scene.ask(name, &five)).count();
    assert!(own >= CELLS, "{own}");
}

#[test]
fn whole_cells_make_room_and_others_stay() {
    let scene = Scene::new();
    let (hour, second) = (hourly(1), Quotas::from(Quota::per_second(1).unwrap()));
    // Now and then more of them meet in one part of the table than it has room for: one of those shares a cell, the others do not
    // come in.
    let names = (0..CELLS / 4).map(|number| format!("limited {number}"));
    let limited: Vec<_> = names.filter(|name| scene.ask(name, &hour)).collect();
    assert!(limited.len() > CELLS / 8, "{}", limited.len());
    scene.flood("brief", 20_000, &second);
    assert_eq!(scene.store.len(), CELLS);
    // A second later there is room again, for as many as before, and a second later too.
    for round in 0..5 {
        scene.clock.advance(Duration::from_millis(1_001));
        let admitted = scene.flood(&round.to_string(), 20_000, &second);
        assert!(admitted >= CELLS * 3 / 4, "{admitted} in round {round}");
    }
    for name in &limited {
        assert!(!scene.ask(name, &hour), "{name}");
    }
    scene.clock.advance(Duration::from_secs(3_600));
    assert!(limited.iter().all(|name| scene.ask(name, &hour)));
}

/// Who finds no room shares a cell also with those that come at the same moment, on other cores.
#[test]
fn at_the_same_time_newcomers_get_no_more() {
    const SHARED: u32 = 20_000;
    let store = MemoryRateLimits::new(64);
    let quotas = Quotas::from(Quota::per_hour(1).unwrap().burst(SHARED).unwrap());
    // Of another quota, whose cell is another one.
    for number in 0..2_000 {
        ask(&store, &number.to_string(), &hourly(1));
    }
    assert_eq!(store.len(), 64);
    let admitted = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (store, quotas, admitted) = (&store, &quotas, &admitted);
            scope.spawn(move || {
                for number in 0..SHARED {
                    let name = format!("{thread} {number}");
                    admitted.fetch_add(u32::from(ask(store, &name, quotas)), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(admitted.into_inner(), SHARED);
}
