//! The table, the network and time.
//!
//! **Invariant:** conditions are those of [`super::super::Table`]; an operation has its effect at one instant, whether its
//! answer arrives or not.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use guildhall_domain::ShardId;
use tokio::time::Instant;

use super::super::sweep::{Beat, Seen, Sweep};
use super::super::{Pin, Written};
use super::Dice;
use super::runner::Runner;

pub(super) const TERM: Duration = Duration::from_secs(10);
const RUNNERS: usize = 3;
/// How long faults go on, and how long all may take to be well afterwards: to expire, to be seen, and to be handed over.
const FAULTS: u64 = 60_000;
const RECOVERY: u64 = 90_000;

/// Something a runner asks of the table.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Sweep,
    Take(ShardId, Option<Seen>),
    Renew(ShardId),
    Release(ShardId),
    Finish(ShardId, u64),
    Remove(ShardId),
    Beat(u32, u64),
    Complete(Pin, u32),
}

/// What it answers.
#[derive(Debug)]
pub(super) enum Answer {
    Sweep(Box<Sweep>),
    Written(Written),
    Failed,
}

#[derive(Debug)]
enum Event {
    Arrives { runner: usize, life: u32, number: u64, ask: Ask },
    Answered { runner: usize, life: u32, number: u64, answer: Answer },
    Wake { runner: usize, number: u64 },
    Fault,
    Reshard,
}

#[derive(Default)]
struct Lease {
    holder: String,
    counter: u64,
    finished: Option<u64>,
}

pub(super) struct World {
    start: Instant,
    /// Milliseconds since the start, as no runner sees them.
    pub(super) now: u64,
    pub(super) dice: Dice,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    events: BTreeMap<u64, Event>,
    next_event: u64,
    runners: Vec<Runner>,
    leases: BTreeMap<ShardId, Lease>,
    beats: BTreeMap<String, Beat>,
    pin: Pin,
    away_until: u64,
    /// Runner → its next turn.
    turns: [u64; RUNNERS],
    pub(super) seen: BTreeMap<&'static str, u64>,
    seed: u64,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let count = 1 + u32::try_from(dice.roll(4)).unwrap_or(0);
        let mut world = Self {
            start: Instant::now(),
            now: 0,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            next_event: 0,
            runners: Vec::new(),
            leases: BTreeMap::new(),
            beats: BTreeMap::new(),
            pin: Pin { count, generation: 1, target: None, version: 1 },
            away_until: 0,
            turns: [0; RUNNERS],
            seen: BTreeMap::new(),
            dice,
            seed,
        };
        for runner in 0..RUNNERS {
            // Clocks that run four in a hundred too fast or too slow.
            let rate = 960 + world.dice.roll(81);
            world.runners.push(Runner::new(runner, rate, count));
            let at = world.dice.roll(5_000);
            world.wake(runner, at);
        }
        world.schedule(1_000, Event::Fault);
        if world.dice.chance(2) {
            let at = 5_000 + world.dice.roll(50_000);
            world.schedule(at, Event::Reshard);
        }
        world
    }

    pub(super) fn note(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// The instant on a runner's own clock.
    pub(super) fn instant(&self, rate: u64) -> Instant {
        self.start + Duration::from_micros(self.now * rate)
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.next_event += 1;
        self.queue.push(Reverse((at, self.next_event)));
        self.events.insert(self.next_event, event);
    }

    /// The runner's next turn; one that was planned before is forgotten.
    pub(super) fn wake(&mut self, runner: usize, after: u64) {
        self.turns[runner] += 1;
        let number = self.turns[runner];
        self.schedule(self.now + after.max(1), Event::Wake { runner, number });
    }

    pub(super) fn answer_later(&mut self, runner: usize, life: u32, number: u64, answer: Answer, after: u64) {
        self.schedule(self.now + after.max(1), Event::Answered { runner, life, number, answer });
    }

    pub(super) fn ask(&mut self, runner: usize, life: u32, number: u64, ask: Ask) {
        let at = self.now + 1 + self.delay();
        self.schedule(at, Event::Arrives { runner, life, number, ask });
    }

    fn delay(&mut self) -> u64 {
        if self.dice.chance(50) { self.dice.roll(3_000) } else { self.dice.roll(40) }
    }

    pub(super) fn play(&mut self) {
        while let Some(Reverse((at, number))) = self.queue.pop() {
            if at > FAULTS + RECOVERY {
                break;
            }
            self.now = at;
            match self.events.remove(&number) {
                Some(Event::Wake { runner, number }) if self.turns[runner] == number => {
                    self.turn(runner, Runner::wake);
                }
                Some(Event::Arrives { runner, life, number, ask }) => self.arrives(runner, life, number, ask),
                Some(Event::Answered { runner, life, number, answer }) => {
                    self.turn(runner, |runner, world| runner.answered(world, life, number, answer));
                }
                Some(Event::Fault) => self.fault(),
                Some(Event::Reshard) => {
                    self.pin = Pin { target: Some(self.pin.count * 2), version: self.pin.version + 1, ..self.pin };
                }
                Some(Event::Wake { .. }) | None => {}
            }
            self.nobody_connects_what_another_may();
        }
        self.everything_is_well();
    }

    fn turn(&mut self, runner: usize, turn: impl FnOnce(&mut Runner, &mut Self)) {
        let mut taken = std::mem::replace(&mut self.runners[runner], Runner::new(runner, 1_000, 1));
        turn(&mut taken, self);
        self.runners[runner] = taken;
    }

    fn arrives(&mut self, runner: usize, life: u32, number: u64, ask: Ask) {
        let (lost, away) = (self.now < FAULTS && self.dice.chance(60), self.now < self.away_until);
        let answer = if away { Answer::Failed } else { self.apply(runner, life, ask) };
        if away || lost {
            self.note("outage");
        }
        // The effect may be there without the answer, and what is not answered has failed as far as the runner knows.
        let (at, answer) =
            if lost { (self.now + 3_000, Answer::Failed) } else { (self.now + 1 + self.delay(), answer) };
        self.schedule(at, Event::Answered { runner, life, number, answer });
    }

    fn apply(&mut self, runner: usize, life: u32, ask: Ask) -> Answer {
        let me = Runner::name(runner, life);
        let held = |leases: &BTreeMap<ShardId, Lease>, shard| {
            leases.get(&shard).is_some_and(|lease: &Lease| lease.holder == me)
        };
        let done = match ask {
            Ask::Sweep => return Answer::Sweep(Box::new(self.sweep())),
            Ask::Take(shard, seen) => {
                let now = self.leases.get(&shard).map(|lease| (lease.holder.clone(), lease.counter));
                let as_seen = now == seen.map(|seen| (seen.holder, seen.counter));
                if as_seen {
                    self.follows_its_old_shard(shard, runner, &me);
                    let lease = self.leases.entry(shard).or_default();
                    (lease.holder, lease.counter) = (me, lease.counter + 1);
                }
                as_seen
            }
            Ask::Renew(shard) | Ask::Release(shard) | Ask::Finish(shard, _) if !held(&self.leases, shard) => false,
            Ask::Renew(shard) | Ask::Release(shard) | Ask::Finish(shard, _) => {
                let lease = self.leases.entry(shard).or_default();
                lease.counter += 1;
                match ask {
                    Ask::Release(_) => lease.holder.clear(),
                    Ask::Finish(_, generation) => lease.finished = Some(generation),
                    _ => {}
                }
                true
            }
            Ask::Remove(shard) => {
                if held(&self.leases, shard) {
                    self.leases.remove(&shard);
                }
                true
            }
            Ask::Beat(shards, counter) => {
                self.beats.insert(me, Beat { shards, counter });
                true
            }
            Ask::Complete(seen, count) if self.pin == seen => {
                self.pin = Pin { count, generation: seen.next_generation(), target: None, version: seen.version + 1 };
                self.note("complete");
                true
            }
            Ask::Complete(..) => false,
        };
        if !done {
            self.note("refused");
        }
        Answer::Written(if done { Written::Done } else { Written::Refused })
    }

    fn sweep(&self) -> Sweep {
        let seen = |lease: &Lease| Seen { holder: lease.holder.clone(), counter: lease.counter };
        Sweep {
            leases: self.leases.iter().map(|(shard, lease)| (*shard, seen(lease))).collect(),
            finished: self.leases.iter().filter_map(|(shard, lease)| Some((*shard, lease.finished?))).collect(),
            runners: self.beats.iter().map(|(holder, beat)| (holder.clone(), *beat)).collect(),
            pin: Some(self.pin),
            ..Sweep::default()
        }
    }

    /// A shard of the next set is tried for by who believes to hold its old shard, and by nobody else.
    fn follows_its_old_shard(&self, shard: ShardId, runner: usize, me: &str) {
        if Some(shard.count) == self.pin.target {
            let old = ShardId { id: shard.id % self.pin.count, count: self.pin.count };
            // The one who asked may be in the middle of its turn; then it is not looked at.
            let believes = &self.runners[runner];
            assert!(believes.had(old, me), "seed {}: {me} tries for {shard} without {old} at {}", self.seed, self.now);
        }
    }

    fn fault(&mut self) {
        if self.now >= FAULTS {
            self.away_until = 0;
            let now = self.now;
            self.runners.iter_mut().for_each(|runner| runner.thaw(now));
            for runner in 0..RUNNERS {
                self.wake(runner, 1);
            }
            return;
        }
        let runner = usize::try_from(self.dice.roll(RUNNERS as u64)).unwrap_or(0);
        match self.dice.roll(5) {
            0 => {
                self.note("frozen");
                self.runners[runner].frozen_until = self.now + self.dice.roll(40_000);
                let after = self.runners[runner].frozen_until - self.now;
                self.wake(runner, after);
            }
            1 => {
                self.note("crashed");
                let after = self.dice.roll(20_000);
                let (count, rate) = (self.pin.count, 960 + self.dice.roll(81));
                self.runners[runner].die(rate, count);
                self.wake(runner, after);
            }
            2 => self.away_until = self.now + self.dice.roll(30_000),
            _ => {}
        }
        let next = self.now + 1_000 + self.dice.roll(15_000);
        self.schedule(next.min(FAULTS.max(self.now + 1)), Event::Fault);
    }

    /// Whoever runs and knows its lease to be fresh may begin a connection now.
    fn nobody_connects_what_another_may(&self) {
        for (number, runner) in self.runners.iter().enumerate() {
            for other in &self.runners[number + 1..] {
                if let Some(shard) = runner.shares(other, self) {
                    panic!("seed {}: two runners may connect {shard} at {}", self.seed, self.now);
                }
            }
        }
    }

    /// Long after the last fault every shard has one runner, that knows it, and the shares are fair.
    fn everything_is_well(&self) {
        let seed = self.seed;
        assert_eq!(self.pin.target, None, "seed {seed}: the cut-over does not end");
        let mut held = BTreeSet::new();
        for runner in &self.runners {
            let fresh = runner.fresh(self);
            let share = usize::try_from(self.pin.count).unwrap_or(0) / RUNNERS;
            assert!(
                fresh.len() == share || fresh.len() == share + 1,
                "seed {seed}: {} of {}",
                fresh.len(),
                self.pin.count
            );
            held.extend(fresh);
        }
        let all: BTreeSet<ShardId> = (0..self.pin.count).map(|id| ShardId { id, count: self.pin.count }).collect();
        assert_eq!(held, all, "seed {seed}");
    }
}
