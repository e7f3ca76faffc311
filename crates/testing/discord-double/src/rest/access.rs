//! Whether the caller may do what it asks for.
//!
//! **Invariant:** what one may not see is refused before what one may not do, as 50001 and 50013.

use guildhall_domain::{ChannelId, RoleId, Timestamp, UserId};

use super::error::ApiError;
use crate::world::{Guild, Missing, Permissions};

/// Requires permissions in the guild as a whole.
pub(crate) fn in_guild(guild: &Guild, user: UserId, needed: Permissions, now: Timestamp) -> Result<(), ApiError> {
    if guild.member(user).is_err() {
        return Err(ApiError::missing_access());
    }
    if guild.permissions(user, now).has(needed) { Ok(()) } else { Err(ApiError::missing_permissions()) }
}

/// Requires that a channel exists and is seen, and permissions in it.
pub(crate) fn in_channel(
    guild: &Guild,
    channel: ChannelId,
    user: UserId,
    needed: Permissions,
    now: Timestamp,
) -> Result<(), ApiError> {
    guild.channel(channel)?;
    let held = guild.channel_permissions(channel, user, now);
    if !held.has(Permissions::VIEW_CHANNEL) {
        return Err(ApiError::missing_access());
    }
    if held.has(needed) { Ok(()) } else { Err(ApiError::missing_permissions()) }
}

/// Requires one of several permissions in a channel.
pub(crate) fn any_in_channel(
    guild: &Guild,
    channel: ChannelId,
    user: UserId,
    sufficient: &[Permissions],
    now: Timestamp,
) -> Result<(), ApiError> {
    in_channel(guild, channel, user, Permissions::NONE, now)?;
    let held = guild.channel_permissions(channel, user, now);
    if sufficient.iter().any(|needed| held.has(*needed)) { Ok(()) } else { Err(ApiError::missing_permissions()) }
}

/// Requires that `user` stands above a member: nobody acts upon the owner, or upon equals.
pub(crate) fn above_member(guild: &Guild, user: UserId, target: UserId) -> Result<(), ApiError> {
    if target != guild.owner && guild.rank(user) > guild.rank(target) {
        Ok(())
    } else {
        Err(ApiError::missing_permissions())
    }
}

/// Requires that `user` stands above a role.
pub(crate) fn above_role(guild: &Guild, user: UserId, role: RoleId) -> Result<(), ApiError> {
    let role = guild.role(role).map_err(|_: Missing| ApiError::from(Missing::Role))?;
    if guild.rank(user) > role.position { Ok(()) } else { Err(ApiError::missing_permissions()) }
}

/// Requires that nobody hands out permissions they do not hold.
pub(crate) fn holds(guild: &Guild, user: UserId, granted: Permissions, now: Timestamp) -> Result<(), ApiError> {
    in_guild(guild, user, granted, now)
}
