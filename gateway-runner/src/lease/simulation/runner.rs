//! A runner: what the fleet does with the decisions, without anything else that it does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use guildhall_domain::ShardId;
use tokio::time::Instant;

use super::super::plan::{Observer, Viewpoint};
use super::super::sweep::Sweep;
use super::super::{Pin, State, Written};
use super::world::{Answer, Ask, TERM, World};

/// One life of a runner, and the ones after it.
pub(super) struct Runner {
    number: usize,
    life: u32,
    rate: u64,
    pub(super) frozen_until: u64,
    count: u32,
    generation: u64,
    target: Option<(u32, u64)>,
    observer: Observer,
    held: BTreeMap<ShardId, State>,
    active: BTreeSet<ShardId>,
    /// Shards that were closed for good: nothing of them runs that would notice that the lease is lost.
    closed: BTreeSet<ShardId>,
    /// Old shards whose lease was held at some time of this life.
    once: BTreeSet<ShardId>,
    /// What is asked one after the other, as the fleet does.
    line: VecDeque<Ask>,
    asked: BTreeMap<u64, (Ask, Instant)>,
    next: u64,
    waiting: Option<u64>,
    look_at: Option<Instant>,
    renew_at: Option<Instant>,
    beat: u64,
}

impl Runner {
    pub(super) fn new(number: usize, rate: u64, count: u32) -> Self {
        Self {
            number,
            life: 0,
            rate,
            frozen_until: 0,
            count,
            generation: 0,
            target: None,
            observer: Observer::default(),
            held: BTreeMap::new(),
            active: BTreeSet::new(),
            closed: BTreeSet::new(),
            once: BTreeSet::new(),
            line: VecDeque::new(),
            asked: BTreeMap::new(),
            next: 0,
            waiting: None,
            look_at: None,
            renew_at: None,
            beat: 0,
        }
    }

    pub(super) fn name(number: usize, life: u32) -> String {
        format!("{number}-{life}")
    }

    /// Dies, and will begin anew without knowing anything.
    pub(super) fn die(&mut self, rate: u64, count: u32) {
        *self = Self { life: self.life + 1, ..Self::new(self.number, rate, count) };
    }

    pub(super) fn thaw(&mut self, now: u64) {
        self.frozen_until = self.frozen_until.min(now);
    }

    /// Whether this life, or one whose request was still under way, held the lease.
    pub(super) fn had(&self, shard: ShardId, me: &str) -> bool {
        me != Self::name(self.number, self.life) || self.once.contains(&shard)
    }

    pub(super) fn fresh(&self, world: &World) -> Vec<ShardId> {
        let now = world.instant(self.rate);
        self.held.iter().filter(|(_, state)| state.is_fresh(now, TERM)).map(|(shard, _)| *shard).collect()
    }

    /// A shard that both this runner and the other may connect now.
    pub(super) fn shares(&self, other: &Self, world: &World) -> Option<ShardId> {
        if self.frozen_until > world.now || other.frozen_until > world.now {
            return None;
        }
        let both = self.held.iter().filter_map(|(shard, state)| Some((*shard, state, other.held.get(shard)?)));
        let (here, there) = (world.instant(self.rate), world.instant(other.rate));
        let mut may = both.filter(|(_, own, others)| own.is_fresh(here, TERM) && others.is_fresh(there, TERM));
        may.next().map(|(shard, ..)| shard)
    }

    fn ask(&mut self, world: &mut World, ask: Ask) -> u64 {
        self.next += 1;
        self.asked.insert(self.next, (ask.clone(), world.instant(self.rate)));
        world.ask(self.number, self.life, self.next, ask);
        self.next
    }

    /// Does what is due.
    pub(super) fn wake(&mut self, world: &mut World) {
        if self.frozen_until > world.now {
            return;
        }
        let now = world.instant(self.rate);
        if self.renew_at.is_none_or(|at| at <= now) {
            self.beat += 1;
            self.ask(world, Ask::Beat(self.count, self.beat));
            for shard in self.held.keys().copied().collect::<Vec<_>>() {
                self.ask(world, Ask::Renew(shard));
            }
            self.renew_at = Some(now + TERM / 3);
        }
        if self.waiting.is_none() {
            if let Some(ask) = self.line.pop_front() {
                self.waiting = Some(self.ask(world, ask));
            } else if self.look_at.is_none_or(|at| at <= now) {
                self.waiting = Some(self.ask(world, Ask::Sweep));
                self.look_at = Some(now + TERM / 5);
            }
        }
        // Well within the shortest of its pauses.
        let after = 400 + world.dice.roll(400);
        world.wake(self.number, after);
    }

    pub(super) fn answered(&mut self, world: &mut World, life: u32, number: u64, answer: Answer) {
        if life != self.life {
            return;
        }
        if self.frozen_until > world.now {
            // It lies in the socket until the runner wakes.
            let after = self.frozen_until - world.now;
            world.answer_later(self.number, life, number, answer, after);
            return;
        }
        let Some((ask, began)) = self.asked.remove(&number) else { return };
        match (ask, answer) {
            (Ask::Sweep, Answer::Sweep(sweep)) => self.look(world, *sweep),
            (Ask::Take(shard, _), Answer::Written(Written::Done)) => {
                self.held.insert(shard, State { renewed: began, standstills: 0, lost: false });
                self.active.insert(shard);
                self.once.insert(shard);
                if world.dice.chance(20) {
                    world.note("closed for good");
                    self.closed.insert(shard);
                }
                let old = ShardId { id: shard.id % self.count, count: self.count };
                if shard.count != self.count {
                    world.note("next");
                    // The old shard went while this was asked for.
                    if !self.active.contains(&old) {
                        self.give_one(shard);
                    }
                }
            }
            (Ask::Renew(shard) | Ask::Finish(shard, _), Answer::Written(Written::Done)) => {
                if let Some(state) = self.held.get_mut(&shard) {
                    state.renewed = state.renewed.max(began);
                }
            }
            (Ask::Renew(shard) | Ask::Finish(shard, _), Answer::Written(Written::Refused))
                if self.held.contains_key(&shard) =>
            {
                world.note("lost");
                match self.held.get_mut(&shard) {
                    Some(state) if self.closed.contains(&shard) => state.lost = true,
                    _ => self.lose(shard),
                }
            }
            _ => {}
        }
        if self.waiting == Some(number) {
            self.waiting = None;
            self.wake(world);
        }
    }

    /// The lease is gone, and with an old shard's the wish for those that replace it.
    fn lose(&mut self, shard: ShardId) {
        self.held.remove(&shard);
        self.active.remove(&shard);
        self.give_next(shard);
    }

    fn give(&mut self, shard: ShardId) {
        self.give_next(shard);
        self.give_one(shard);
    }

    /// The connection is closed first, so that nothing is begun under a lease that is being handed over.
    fn give_one(&mut self, shard: ShardId) {
        if self.active.remove(&shard) && self.held.remove(&shard).is_some() {
            self.line.push_back(Ask::Release(shard));
        }
    }

    fn give_next(&mut self, shard: ShardId) {
        let Some((target, _)) = self.target.filter(|_| shard.count == self.count) else { return };
        for id in (shard.id..target).step_by(self.count as usize) {
            self.give_one(ShardId { id, count: target });
        }
    }

    fn follow(&mut self, world: &mut World, pin: Pin) {
        if self.generation == 0 {
            (self.count, self.generation) = (pin.count, pin.generation);
        }
        if pin.generation == self.generation {
            self.target = pin.target.map(|count| (count, pin.next_generation()));
        } else if self.target == Some((pin.count, pin.generation)) {
            for shard in self.held.keys().copied().filter(|shard| shard.count != pin.count).collect::<Vec<_>>() {
                self.held.remove(&shard);
                self.active.remove(&shard);
                self.line.push_back(Ask::Remove(shard));
            }
            (self.count, self.generation, self.target) = (pin.count, pin.generation, None);
        } else {
            // It ends, and begins anew with what is pinned.
            world.note("another set");
            self.die(self.rate, pin.count);
        }
    }

    fn look(&mut self, world: &mut World, sweep: Sweep) {
        let now = world.instant(self.rate);
        let Some(pin) = sweep.pin else { return };
        self.follow(world, pin);
        let is_lost = |shard: &&ShardId| self.held.get(shard).is_none_or(|state| state.lost);
        for shard in self.closed.iter().filter(is_lost).copied().collect::<Vec<_>>() {
            self.closed.remove(&shard);
            self.lose(shard);
        }
        let (finished, runners) = (sweep.finished.clone(), sweep.runners.len());
        self.observer.observe(sweep, now);
        let me = Self::name(self.number, self.life);
        let held: BTreeSet<ShardId> = self.held.keys().copied().collect();
        let active = self.active.iter().filter(|shard| shard.count == self.count).copied().collect();
        let view = Viewpoint {
            me: &me,
            predecessors: &[],
            shard_count: self.count,
            target: self.target.map(|(count, _)| count),
            active: &active,
            held: &held,
            term: TERM,
        };
        let plan = self.observer.plan(&view, now);
        if runners > 0 && plan.take.iter().any(|(_, seen)| seen.as_ref().is_some_and(|seen| !seen.holder.is_empty())) {
            world.note("expired");
        }
        for shard in plan.give {
            world.note("handed over");
            self.give(shard);
        }
        for (shard, seen) in plan.take.into_iter().chain(plan.take_next) {
            self.line.push_back(Ask::Take(shard, seen));
        }
        self.cut_over(world, pin, &finished);
    }

    /// An old shard is finished some time after this runner has all that replace it.
    fn cut_over(&mut self, world: &mut World, pin: Pin, finished: &std::collections::HashMap<ShardId, u64>) {
        let Some((target, generation)) = self.target else { return };
        for old in self.active.iter().copied().filter(|shard| shard.count == self.count).collect::<Vec<_>>() {
            let mut next = (old.id..target).step_by(self.count as usize).map(|id| ShardId { id, count: target });
            let all = next.all(|shard| self.active.contains(&shard));
            if all && finished.get(&old) != Some(&generation) && world.dice.chance(3) {
                self.line.push_back(Ask::Finish(old, generation));
            }
        }
        let is_finished = |id| finished.get(&ShardId { id, count: self.count }) == Some(&generation);
        if (0..self.count).all(is_finished) {
            self.line.push_back(Ask::Complete(pin, target));
        }
    }
}
