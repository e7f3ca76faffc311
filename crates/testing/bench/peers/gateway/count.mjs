// Counts dispatches as the other contestants do: by kind, with a sum over guilds.

/** The number of each kind, by the type of the dispatch. */
const KINDS = {
  MESSAGE_CREATE: 1, MESSAGE_UPDATE: 3, MESSAGE_DELETE: 4, MESSAGE_DELETE_BULK: 4, MESSAGE_REACTION_ADD: 5,
  MESSAGE_REACTION_REMOVE: 6, MESSAGE_REACTION_REMOVE_ALL: 7, MESSAGE_REACTION_REMOVE_EMOJI: 7, GUILD_MEMBER_ADD: 8,
  GUILD_MEMBER_REMOVE: 9, GUILD_MEMBER_UPDATE: 10, VOICE_STATE_UPDATE: 11, GUILD_BAN_ADD: 12, GUILD_BAN_REMOVE: 13,
  GUILD_AUDIT_LOG_ENTRY_CREATE: 14, GUILD_UPDATE: 17, CHANNEL_CREATE: 18, CHANNEL_UPDATE: 19, CHANNEL_DELETE: 20,
  GUILD_ROLE_CREATE: 21, GUILD_ROLE_UPDATE: 22, GUILD_ROLE_DELETE: 23, THREAD_CREATE: 24, THREAD_UPDATE: 25,
  THREAD_DELETE: 26, INVITE_CREATE: 27, INVITE_DELETE: 28,
};
const BOT_MESSAGE_CREATE = 2;

/** The number of each kind, by its name in envelopes. */
export const CODES = Object.fromEntries(
  ['message_create', 'bot_message_create', 'message_update', 'message_delete', 'reaction_add', 'reaction_remove',
    'reaction_clear', 'member_join', 'member_leave', 'member_update', 'voice_state', 'ban_add', 'ban_remove',
    'audit_log_entry', 'guild_create', 'guild_delete', 'guild_update', 'channel_create', 'channel_update',
    'channel_delete', 'role_create', 'role_update', 'role_delete', 'thread_create', 'thread_update', 'thread_delete',
    'invite_create', 'invite_delete'].map((name, place) => [name, place + 1]),
);

export class Digest {
  kinds = new Float64Array(32);
  guilds = 0;

  count({ t, d }) {
    let kind = KINDS[t];
    if (kind === undefined) return;
    const guild = t === 'GUILD_UPDATE' ? d.id : d.guild_id;
    if (guild === undefined) return;
    if (kind === 1 && (d.webhook_id !== undefined || d.author.bot)) kind = BOT_MESSAGE_CREATE;
    const events = t === 'MESSAGE_DELETE_BULK' ? d.ids.length : 1;
    this.add(kind, guild, events);
  }

  add(kind, guild, events) {
    if (kind === undefined) return;
    this.kinds[kind] += events;
    this.guilds += events * Number(guild.slice(-6));
  }

  answer() {
    const kinds = [...this.kinds].map((count, code) => (count > 0 ? `${code}:${count} ` : ''));
    return `${kinds.join('')}guilds:${this.guilds}`;
  }
}
