//! Where each guild was cut over: the record that every replay obeys.
//!
//! **Invariant:** whether an event is forwarded is a function of the record and the event's session and sequence alone.
//! **Invariant:** a guild's cut never changes once it is recorded.
//!
//! The record of a shard with 2,500 guilds takes about 50 KB, an eighth of what DynamoDB allows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use guildhall_domain::{GuildId, Timestamp};

const VERSION: u8 = 1;

/// A position in a session of the new set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Position {
    /// The session.
    pub session: Arc<str>,
    /// The sequence.
    pub seq: u64,
}

impl Position {
    /// Before any session: whatever comes counts.
    pub fn nowhere() -> Self {
        Self { session: "".into(), seq: 0 }
    }

    /// Whether it is before any session.
    pub fn is_nowhere(&self) -> bool {
        self.session.is_empty()
    }
}

/// A guild's cut: the old session counts up to a sequence, the new one from after another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cut {
    /// The last sequence of the old session that is forwarded.
    pub after: u64,
    /// The last position in the new session that is not.
    pub before: Position,
}

/// The cut of every guild that has none of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rest {
    /// The last sequence of the old session that is forwarded.
    pub after: u64,
    /// New shard → the last position that is not forwarded; empty while only the old session was stopped.
    pub before: BTreeMap<u32, Position>,
    /// What neither session counts.
    pub gap: Option<Gap>,
}

/// The time between a stop of the old session and the new session's beginning.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gap {
    /// The last sequence of the old session that is surely counted.
    pub after: u64,
    /// Its beginning.
    pub from: Timestamp,
    /// Its end; meaningless until the cut is complete.
    pub to: Timestamp,
    /// Whether the old session was lost, and not only stopped.
    pub lost: bool,
    /// The new shards whose guilds it concerns.
    pub shards: BTreeSet<u32>,
}

/// The cuts of one old shard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The session of the old set.
    pub old_session: Arc<str>,
    /// Guild → its cut.
    pub cuts: BTreeMap<GuildId, Cut>,
    /// The cut of all others.
    pub rest: Option<Rest>,
    /// Everything up to the cuts is safe: the old session is no longer needed.
    pub finished: bool,
}

impl Record {
    /// Nothing is cut yet.
    pub fn new(old_session: Arc<str>) -> Self {
        Self { old_session, cuts: BTreeMap::new(), rest: None, finished: false }
    }

    /// Whether an event of the old shard is forwarded. A session that begins there after the record counts nothing.
    pub fn forwards_old(&self, session: &str, guild: GuildId, seq: u64) -> bool {
        *session == *self.old_session && self.forwards_before(guild, seq)
    }

    fn forwards_before(&self, guild: GuildId, seq: u64) -> bool {
        match (self.cuts.get(&guild), &self.rest) {
            (Some(cut), _) => seq <= cut.after,
            (None, Some(rest)) => seq <= rest.after,
            (None, None) => true,
        }
    }

    /// Whether an event of a session of the new set's shard is forwarded. A session other than the one in the cut began
    /// after it.
    pub fn forwards_new(&self, shard: u32, session: &str, guild: GuildId, seq: u64) -> bool {
        let own = self.cuts.get(&guild).map(|cut| &cut.before);
        let before = own.or_else(|| self.rest.as_ref()?.before.get(&shard));
        before.is_some_and(|before| *before.session != *session || seq > before.seq)
    }

    /// Whether a guild's cut is yet to be found.
    pub fn is_open(&self, guild: GuildId) -> bool {
        self.rest.is_none() && !self.cuts.contains_key(&guild)
    }

    /// Whether the new shard's session begins where the old one was lost, before that shard had any.
    pub fn is_replaced(&self, shard: u32) -> bool {
        let before = self.rest.as_ref().and_then(|rest| rest.before.get(&shard));
        before.is_some_and(Position::is_nowhere)
    }

    /// Whether every guild is cut.
    pub fn is_complete(&self) -> bool {
        self.rest.as_ref().is_some_and(|rest| !rest.before.is_empty())
    }

    /// The last sequence of the old session that may be forwarded.
    pub fn last_old(&self) -> u64 {
        let rest = self.rest.as_ref().map_or(0, |rest| rest.after);
        self.cuts.values().map(|cut| cut.after).fold(rest, u64::max)
    }

    /// The last sequence of a new session that depends on a cut.
    pub fn last_new(&self, session: &str) -> u64 {
        let rest = self.rest.iter().flat_map(|rest| rest.before.values());
        let all = self.cuts.values().map(|cut| &cut.before).chain(rest);
        all.filter(|before| *before.session == *session).map(|before| before.seq).max().unwrap_or(0)
    }

    /// The record as the table keeps it.
    pub fn encode(&self) -> Vec<u8> {
        let rest = self.rest.iter().flat_map(|rest| rest.before.values());
        let mut sessions: Vec<&str> =
            self.cuts.values().map(|cut| &cut.before).chain(rest).map(|before| &*before.session).collect();
        sessions.sort_unstable();
        sessions.dedup();
        let index = |session: &str| sessions.binary_search(&session).unwrap_or_default() as u64;
        let mut out = Writer(vec![VERSION, u8::from(self.finished)]);
        out.text(&self.old_session);
        out.number(sessions.len() as u64);
        sessions.iter().for_each(|session| out.text(session));
        out.number(self.cuts.len() as u64);
        let mut last = 0;
        for (guild, cut) in &self.cuts {
            out.number(guild.get().wrapping_sub(last));
            last = guild.get();
            out.number(cut.after);
            out.number(index(&cut.before.session));
            out.number(cut.before.seq);
        }
        out.number(u64::from(self.rest.is_some()));
        if let Some(rest) = &self.rest {
            out.number(rest.after);
            out.number(rest.before.len() as u64);
            for (shard, before) in &rest.before {
                out.number(u64::from(*shard));
                out.number(index(&before.session));
                out.number(before.seq);
            }
            out.number(u64::from(rest.gap.is_some()));
            if let Some(gap) = &rest.gap {
                out.number(gap.after);
                out.number(gap.from.as_millis().cast_unsigned());
                out.number(gap.to.as_millis().cast_unsigned());
                out.number(u64::from(gap.lost));
                out.number(gap.shards.len() as u64);
                gap.shards.iter().for_each(|shard| out.number(u64::from(*shard)));
            }
        }
        out.0
    }

    /// Reads what [`Record::encode`] wrote; `None` when it cannot be that.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&[VERSION, finished], bytes) = bytes.split_first_chunk()? else { return None };
        let mut reader = Reader(bytes);
        let old_session = reader.text()?;
        let sessions: Vec<Arc<str>> = reader.many(Reader::text)?;
        let position = |reader: &mut Reader<'_>| {
            let session = sessions.get(usize::try_from(reader.number()?).ok()?)?.clone();
            Some(Position { session, seq: reader.number()? })
        };
        let mut last = 0_u64;
        let cuts = reader.many(|reader| {
            last = last.wrapping_add(reader.number()?);
            let (guild, after) = (GuildId::new(last)?, reader.number()?);
            Some((guild, Cut { after, before: position(reader)? }))
        })?;
        let rest = reader.option(|reader| {
            let after = reader.number()?;
            let before = reader.many(|reader| Some((reader.small()?, position(reader)?)))?;
            let gap = reader.option(|reader| {
                Some(Gap {
                    after: reader.number()?,
                    from: Timestamp::from_millis(reader.number()?.cast_signed()),
                    to: Timestamp::from_millis(reader.number()?.cast_signed()),
                    lost: reader.number()? == 1,
                    shards: reader.many(Reader::small)?,
                })
            })?;
            Some(Rest { after, before, gap })
        })?;
        Some(Self { old_session, cuts, rest, finished: finished == 1 })
    }
}

struct Writer(Vec<u8>);

impl Writer {
    /// Seven bits a byte, the lowest first.
    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
            value >>= 7;
        }
        self.0.push(u8::try_from(value).unwrap_or_default());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn small(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    fn text(&mut self) -> Option<Arc<str>> {
        let len = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        std::str::from_utf8(text).ok().map(Arc::from)
    }

    fn many<T, C: FromIterator<T>>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<C> {
        let count = self.number()?;
        (0..count).map(|_| one(self)).collect()
    }

    fn option<T>(&mut self, one: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.number()? == 0 { Some(None) } else { one(self).map(Some) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(guilds: &[(u64, u64, u64)], seed: u64) -> Record {
        let position = |seq: u64| Position { session: format!("session-{}", seq % 2).into(), seq };
        let mut record = Record::new("old".into());
        for &(guild, after, seq) in guilds {
            let Some(guild) = GuildId::new(guild) else { continue };
            record.cuts.insert(guild, Cut { after, before: position(seq) });
        }
        let gap = || Gap {
            after: 12,
            from: Timestamp::from_millis(5),
            to: Timestamp::from_millis(9),
            lost: seed.is_multiple_of(2),
            shards: BTreeSet::from([1, 3]),
        };
        let before =
            if seed.is_multiple_of(3) { BTreeMap::new() } else { BTreeMap::from([(1, position(3)), (3, position(8))]) };
        record.rest =
            (!seed.is_multiple_of(5)).then(|| Rest { after: seed, before, gap: (!seed.is_multiple_of(4)).then(gap) });
        record.finished = seed.is_multiple_of(7);
        record
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            guilds in proptest::collection::vec((1..u64::MAX / 2, 0..1_u64 << 40, 0..1_u64 << 40), 0..50),
            seed in 0..1_000_u64,
        ) {
            let record = record(&guilds, seed);
            let bytes = record.encode();
            prop_assert_eq!(Record::decode(&bytes), Some(record));
            for end in 0..bytes.len() {
                prop_assert_eq!(Record::decode(&bytes[..end]), None);
            }
        }

        #[test]
        fn rubbish_is_no_record(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            // It may read as one by chance; it must only not panic.
            let _read = Record::decode(&bytes).is_some();
        }
    }

    #[test]
    fn a_full_shard_fits_an_item_many_times() {
        let guilds: Vec<_> =
            (0..2_500_u64).map(|n| (n * 736_298_347_129_873 + 5, 90_000_000 + n, 80_000_000 + n)).collect();
        let size = record(&guilds, 1).encode().len();
        assert!(size < 60_000, "{size} bytes");
    }

    #[test]
    fn the_cut_decides_by_session_and_sequence() {
        let guild = GuildId::new(7).expect("an id");
        let mut record = Record::new("s".into());
        assert!(record.forwards_old("s", guild, 100) && !record.forwards_new(1, "n", guild, 100));
        record.cuts.insert(guild, Cut { after: 50, before: Position { session: "n".into(), seq: 20 } });
        assert_eq!([50, 51].map(|seq| record.forwards_old("s", guild, seq)), [true, false]);
        assert_eq!([20, 21].map(|seq| record.forwards_new(1, "n", guild, seq)), [false, true]);
        assert!(record.forwards_new(1, "after it", guild, 1));
        let other = GuildId::new(8).expect("an id");
        record.rest = Some(Rest { after: 60, before: BTreeMap::new(), gap: None });
        assert!(
            !record.forwards_old("s", other, 61) && !record.forwards_new(1, "n", other, 61) && !record.is_complete()
        );
        assert_eq!((record.last_old(), record.last_new("n")), (60, 20));
    }
}
