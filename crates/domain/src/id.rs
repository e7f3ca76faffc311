//! Typed Discord identifiers ("snowflakes").
//!
//! **Invariant:** an id is written to JSON as a string, because JavaScript numbers cannot hold 64 bits; it is read
//! from a string or a number, because some of Discord's older fields are numbers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::time::Timestamp;

/// The text was not a Discord id: one to twenty decimal digits, at most `i64::MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a Discord id")]
pub struct InvalidId;

/// One to twenty decimal digits, eight at a time: every event that is counted has several ids.
fn digits(text: &[u8]) -> Option<u64> {
    let text = match text {
        // Twenty do not fit, unless the first is a zero.
        [b'0', rest @ ..] if rest.len() == 19 => rest,
        [] | [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, ..] => return None,
        _ => text,
    };
    let (head, eights) = text.as_rchunks();
    let mut value = 0;
    for byte in head {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    for chunk in eights {
        value = value * 100_000_000 + eight_digits(u64::from_le_bytes(*chunk))?;
    }
    Some(value)
}

/// The value of eight digits, the first of them in the lowest byte: neighbours are joined to pairs, fours and eights.
const fn eight_digits(text: u64) -> Option<u64> {
    let digits = text ^ 0x3030_3030_3030_3030;
    if (digits | digits.wrapping_add(0x7676_7676_7676_7676)) & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    let pairs = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours * 10_000 + (fours >> 32)) & 0xffff_ffff)
}

macro_rules! snowflake {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(i64);

        impl $name {
            /// The id with this numeric value. PostgreSQL's `bigint` bounds it: Discord's ids stay below 2^63 until 2084.
            pub const fn new(value: u64) -> Option<Self> {
                if value <= i64::MAX as u64 { Some(Self(value.cast_signed())) } else { None }
            }

            /// The numeric value.
            pub const fn get(self) -> u64 {
                self.0.cast_unsigned()
            }

            /// The value as PostgreSQL stores it.
            pub const fn to_db(self) -> i64 {
                self.0
            }

            /// An id read from the database, where only valid ids are written.
            pub const fn from_db(value: i64) -> Self {
                Self(value)
            }

            /// When Discord made this id (Discord documentation, "Snowflakes").
            pub const fn created_at(self) -> Timestamp {
                Timestamp::from_millis((self.0 >> 22) + Timestamp::DISCORD_EPOCH.as_millis())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                digits(text.as_bytes()).and_then(Self::new).ok_or(InvalidId)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl de::Visitor<'_> for Visitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a Discord id")
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }

                    fn visit_u64<E: de::Error>(self, value: u64) -> Result<$name, E> {
                        $name::new(value).ok_or_else(|| E::custom(InvalidId))
                    }
                }
                deserializer.deserialize_any(Visitor)
            }
        }
    )*};
}

snowflake! {
    /// A Discord application, which is what a bot belongs to.
    ApplicationId;
    /// A channel, category or thread.
    ChannelId;
    /// A Discord server.
    GuildId;
    /// One use of a command, component or modal.
    InteractionId;
    /// A message.
    MessageId;
    /// A role of one guild.
    RoleId;
    /// A Discord account, human or bot.
    UserId;
}

/// The position of a shard in a set of `shard_count` shards.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ShardId {
    /// Zero-based number of the shard.
    #[serde(rename = "shard_id")]
    pub id: u32,
    /// How many shards the set has.
    #[serde(rename = "shard_count")]
    pub count: u32,
}

impl ShardId {
    /// The shard that receives a guild's events (Discord documentation, "Sharding").
    ///
    /// # Panics
    /// When `shard_count` is zero.
    pub fn for_guild(guild: GuildId, shard_count: u32) -> Self {
        let id = (guild.get() >> 22) % u64::from(shard_count);
        Self { id: u32::try_from(id).expect("a remainder of a u32 fits a u32"), count: shard_count }
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.id, self.count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_are_json_strings_and_also_read_numbers() {
        let id: GuildId = "175928847299117063".parse().expect("valid");
        assert_eq!(serde_json::to_string(&id).expect("serialises"), r#""175928847299117063""#);
        assert_eq!(serde_json::from_str::<GuildId>("175928847299117063").expect("reads"), id);
        assert_eq!(serde_json::from_str::<GuildId>(r#""175928847299117063""#).expect("reads"), id);
    }

    #[test]
    fn rubbish_is_not_an_id() {
        for text in ["", "-1", "+1", " 1", "1e3", "9223372036854775808", "184467440737095516150", "abc"] {
            assert_eq!(text.parse::<UserId>(), Err(InvalidId), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn digits_are_read_as_the_standard_library_reads_them(text in "[0-9]{1,21}|[0-9/:+\\- \\x00-\\xff]{0,21}") {
            let plain = (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            let expected = text.parse::<i64>().ok().filter(|_| plain).map(UserId::from_db);
            prop_assert_eq!(text.parse::<UserId>().ok(), expected);
        }
    }

    #[test]
    fn creation_time_is_discords_own_example() {
        // The worked example of Discord's page "Snowflakes".
        let id: MessageId = "175928847299117063".parse().expect("valid");
        assert_eq!(id.created_at().as_millis(), 1_462_015_105_796);
    }

    #[test]
    fn a_guild_belongs_to_one_shard_of_each_set() {
        let guild: GuildId = "197038439483310086".parse().expect("valid");
        assert_eq!(ShardId::for_guild(guild, 1), ShardId { id: 0, count: 1 });
        assert_eq!(ShardId::for_guild(guild, 16).id, ((197_038_439_483_310_086_u64 >> 22) % 16) as u32);
    }
}
