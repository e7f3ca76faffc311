//! Which sessions and connections exist.
//!
//! **Invariant:** several sessions may hold the same shard, of the same or of different shard counts; each receives its
//! guilds' events.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use guildhall_domain::{GuildId, ShardId};

use super::link::Link;
use super::session::Session;

/// The sessions, by id and by shard, and the connections, by number.
#[derive(Debug, Default)]
pub(super) struct Hub {
    sessions: BTreeMap<String, Arc<Session>>,
    shards: BTreeMap<u32, HashMap<u32, Vec<Arc<Session>>>>,
    links: BTreeMap<u64, Arc<Link>>,
}

impl Hub {
    pub(super) fn add(&mut self, session: Arc<Session>) {
        let shard = session.shard;
        self.shards.entry(shard.count).or_default().entry(shard.id).or_default().push(Arc::clone(&session));
        self.sessions.insert(session.id.clone(), session);
    }

    pub(super) fn remove(&mut self, session: &Session) {
        self.sessions.remove(&session.id);
        let Some(set) = self.shards.get_mut(&session.shard.count) else { return };
        if let Some(same) = set.get_mut(&session.shard.id) {
            same.retain(|other| other.id != session.id);
            if same.is_empty() {
                set.remove(&session.shard.id);
            }
        }
        if set.is_empty() {
            self.shards.remove(&session.shard.count);
        }
    }

    pub(super) fn session(&self, id: &str) -> Option<Arc<Session>> {
        self.sessions.get(id).cloned()
    }

    pub(super) fn sessions(&self) -> impl Iterator<Item = &Arc<Session>> {
        self.sessions.values()
    }

    /// The sessions that receive a guild's events. Events of no guild go to shard 0.
    pub(super) fn receivers(&self, guild: Option<GuildId>) -> impl Iterator<Item = &Arc<Session>> {
        self.shards.iter().flat_map(move |(count, set)| {
            let shard = guild.map_or(0, |guild| ShardId::for_guild(guild, *count).id);
            set.get(&shard).into_iter().flatten()
        })
    }

    pub(super) fn connect(&mut self, link: &Arc<Link>) {
        self.links.insert(link.number, Arc::clone(link));
    }

    pub(super) fn disconnect(&mut self, link: &Link) {
        self.links.remove(&link.number);
    }

    /// The connections whose session belongs to a shard of this number; all connections when none is given.
    pub(super) fn links(&self, shard: Option<u32>) -> Vec<Arc<Link>> {
        let chosen = |link: &&Arc<Link>| shard.is_none() || link.shard().map(|own| own.id) == shard;
        self.links.values().filter(chosen).cloned().collect()
    }
}
