//! Who is connected to which voice channel.
//!
//! **Invariant:** a member has at most one voice state in a guild, and it names a channel of that guild.

use guildhall_domain::{ChannelId, EventKind, GuildId, Timestamp, UserId};
use serde::Serialize;

use super::guild::Guild;
use super::member::MemberJson;
use super::{Missing, counted, intents};

/// A member's connection to a voice channel.
#[derive(Debug, Clone)]
pub struct VoiceState {
    /// The channel.
    pub channel: ChannelId,
    /// Discord's name of the connection.
    pub session: String,
    /// Since when they are in this channel.
    pub since: Timestamp,
    /// What they do with microphone, ears and camera.
    pub flags: VoiceFlags,
}

/// What a member may switch while connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VoiceFlags {
    /// Microphone off.
    pub self_mute: bool,
    /// Sound off.
    pub self_deaf: bool,
    /// Sharing the screen.
    pub self_stream: bool,
    /// Camera on.
    pub self_video: bool,
}

#[derive(Serialize)]
pub(crate) struct VoiceJson<'a> {
    guild_id: GuildId,
    channel_id: Option<ChannelId>,
    user_id: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<MemberJson<'a>>,
    session_id: &'a str,
    deaf: bool,
    mute: bool,
    self_deaf: bool,
    self_mute: bool,
    self_stream: bool,
    self_video: bool,
    suppress: bool,
    request_to_speak_timestamp: Option<()>,
}

impl Guild {
    /// The voice states, in no order.
    pub fn voice_states(&self) -> impl Iterator<Item = (UserId, &VoiceState)> {
        self.voice.iter().map(|(user, state)| (*user, state))
    }

    /// Someone enters a voice channel, from outside or from another channel, or changes flags within one.
    ///
    /// # Errors
    /// When the member or the channel is missing, or is not for voice.
    pub fn voice_join(
        &mut self,
        user: UserId,
        channel: ChannelId,
        flags: VoiceFlags,
        at: Timestamp,
    ) -> Result<(), Missing> {
        if !self.channels.get(&channel).is_some_and(|channel| channel.kind.is_voice()) {
            return Err(Missing::Channel);
        }
        if !self.members.contains_key(&user) {
            return Err(Missing::Member);
        }
        let session = match self.voice.get(&user) {
            Some(state) => state.session.clone(),
            None => format!("{:032x}", u128::from(self.shared.ids.next(at)) * 0x9e37_79b9_7f4a_7c15),
        };
        let since = match self.voice.get(&user) {
            Some(state) if state.channel == channel => state.since,
            _ => at,
        };
        self.voice.insert(user, VoiceState { channel, session, since, flags });
        self.voice_refresh(user);
        Ok(())
    }

    /// Someone moves to another voice channel and keeps their flags.
    ///
    /// # Errors
    /// When the member is not connected or the channel is missing.
    pub fn voice_move(&mut self, user: UserId, channel: ChannelId, at: Timestamp) -> Result<(), Missing> {
        let flags = self.voice.get(&user).ok_or(Missing::VoiceState)?.flags;
        self.voice_join(user, channel, flags, at)
    }

    /// Someone leaves voice.
    ///
    /// # Errors
    /// When the member is not connected.
    pub fn voice_leave(&mut self, user: UserId) -> Result<(), Missing> {
        let state = self.voice.remove(&user).ok_or(Missing::VoiceState)?;
        self.emit_voice(user, None, &state);
        Ok(())
    }

    pub(crate) fn voice_leave_if_present(&mut self, user: UserId) {
        if let Some(state) = self.voice.remove(&user) {
            self.emit_voice(user, None, &state);
        }
    }

    /// Everyone leaves a voice channel, because it goes away.
    pub(crate) fn voice_empty(&mut self, channel: ChannelId) {
        let inside: Vec<UserId> =
            self.voice.iter().filter(|(_, state)| state.channel == channel).map(|(user, _)| *user).collect();
        for user in inside {
            self.voice_leave_if_present(user);
        }
    }

    /// Announces a connected member's state once more, because something about it changed.
    pub(crate) fn voice_refresh(&self, user: UserId) {
        if let Some(state) = self.voice.get(&user) {
            self.emit_voice(user, Some(state.channel), state);
        }
    }

    pub(crate) fn voice_json<'a>(&'a self, user: UserId, state: &'a VoiceState) -> VoiceJson<'a> {
        self.voice_fields(user, Some(state.channel), state, None)
    }

    fn emit_voice(&self, user: UserId, channel: Option<ChannelId>, state: &VoiceState) {
        let member = self.members.get(&user).map(super::member::Member::full);
        let event = self.voice_fields(user, channel, state, member);
        let counts = vec![counted(EventKind::VoiceState, channel, Some(user))];
        self.emit("VOICE_STATE_UPDATE", intents::GUILD_VOICE_STATES, &event, counts);
    }

    fn voice_fields<'a>(
        &'a self,
        user: UserId,
        channel: Option<ChannelId>,
        state: &'a VoiceState,
        member: Option<MemberJson<'a>>,
    ) -> VoiceJson<'a> {
        let (deaf, mute) = self.members.get(&user).map_or((false, false), |member| (member.deaf, member.mute));
        VoiceJson {
            guild_id: self.id,
            channel_id: channel,
            user_id: user,
            member,
            session_id: &state.session,
            deaf,
            mute,
            self_deaf: state.flags.self_deaf,
            self_mute: state.flags.self_mute,
            self_stream: state.flags.self_stream,
            self_video: state.flags.self_video,
            suppress: false,
            request_to_speak_timestamp: None,
        }
    }
}
