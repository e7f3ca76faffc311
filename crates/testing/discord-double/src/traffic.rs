//! Scripted traffic: what a community does, from a seed.
//!
//! **Invariant:** the same seed and the same number of steps at the same instants on the same world do the same things.
//! **Invariant:** the traffic changes the world through its public methods only, like everybody else.

mod actions;
mod crowd;
mod runner;
mod text;

use guildhall_domain::{GuildId, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use self::actions::Scene;
use self::crowd::Crowd;
pub use self::runner::{TrafficControl, TrafficPlan, TrafficStatus};
use crate::world::World;

/// How often another action is tried when one cannot happen.
const ATTEMPTS: usize = 8;
/// What still happens at the quietest hour, relative to the busiest.
const QUIETEST: f64 = 0.15;

/// The believable doings of a world's guilds.
#[derive(Debug)]
pub struct Traffic {
    rng: StdRng,
    crowds: Vec<Crowd>,
    /// Running sums of the guilds' weights in the quarter-hour they were computed for.
    weights: Vec<f64>,
    weights_at: Option<Timestamp>,
}

impl Traffic {
    /// Traffic in all guilds, or in those given.
    pub fn new(seed: u64, world: &World, guilds: Option<&[GuildId]>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut ids = world.guild_ids();
        ids.retain(|id| guilds.is_none_or(|wanted| wanted.contains(id)));
        let bot = world.bot_id();
        let crowds = ids.iter().filter_map(|id| Some(Crowd::new(&*world.guild(*id)?, bot, &mut rng))).collect();
        Self { rng, crowds, weights: Vec::new(), weights_at: None }
    }

    /// Lets one thing happen. What somebody does may bring several events: a ban also makes a member leave.
    pub fn step(&mut self, world: &World, at: Timestamp) {
        let Some(index) = self.guild(at) else { return };
        let crowd = &mut self.crowds[index];
        let Some(mut guild) = world.guild(crowd.guild) else { return };
        let mut scene = Scene { guild: &mut guild, crowd, rng: &mut self.rng, at };
        let mut happened = None;
        for _ in 0..ATTEMPTS {
            // Of a thousand.
            happened = match scene.rng.random_range(0..1_000) {
                0..700 => scene.message(),
                700..800 => scene.react(),
                800..818 => scene.unreact(),
                818..820 => scene.clear_reactions(),
                820..860 => scene.edit(),
                860..878 => scene.delete(),
                878..880 => scene.bulk_delete(),
                880..930 => scene.voice(),
                930..946 => scene.join(world),
                946..960 => scene.leave(),
                960..970 => scene.member_update(),
                970..980 => scene.thread(),
                980..986 => scene.invite(),
                986..989 => scene.ban(),
                989..994 => scene.channel(),
                994..998 => scene.role(),
                _ => scene.guild_update(),
            };
            if happened.is_some() {
                return;
            }
        }
        if happened.is_none() {
            // Talking is nearly always possible.
            scene.message();
        }
    }

    /// The index of the guild in which something happens: larger ones more often, each most in its own evening.
    fn guild(&mut self, at: Timestamp) -> Option<usize> {
        let slot = at.quarter_hour().start();
        if self.weights_at != Some(slot) {
            self.weights_at = Some(slot);
            let mut sum = 0.0;
            self.weights = self
                .crowds
                .iter()
                .map(|crowd| {
                    sum += crowd.weight * activity(slot, crowd.peak);
                    sum
                })
                .collect();
        }
        let total = *self.weights.last()?;
        let wanted = self.rng.random::<f64>() * total;
        let index = self.weights.partition_point(|sum| *sum <= wanted);
        Some(index.min(self.crowds.len() - 1))
    }
}

/// How much of a guild's busiest hour happens at an instant, between 0 and 1.
fn activity(at: Timestamp, peak: f64) -> f64 {
    let seconds = u32::try_from(at.as_secs().rem_euclid(86_400)).unwrap_or(0);
    let angle = (f64::from(seconds) / 3_600.0 - peak) / 24.0 * std::f64::consts::TAU;
    QUIETEST + (1.0 - QUIETEST) * (angle.cos() + 1.0) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evenings_are_lively_and_mornings_quiet() {
        let at = |hour: i64| Timestamp::from_secs(1_767_225_600 + hour * 3_600);
        assert!((activity(at(20), 20.0) - 1.0).abs() < 1e-9);
        assert!((activity(at(8), 20.0) - QUIETEST).abs() < 1e-9);
        assert!(activity(at(17), 20.0) > activity(at(14), 20.0));
    }
}
