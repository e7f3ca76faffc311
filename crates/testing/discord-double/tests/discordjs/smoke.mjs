// discord.js against the double: what an independent client makes of it, as one line of JSON.
//
// Environment: DOUBLE_URL (http://127.0.0.1:PORT), DOUBLE_TOKEN, DISCORDJS_DIR (where `npm ci` put node_modules).

import { createRequire } from 'node:module';
import path from 'node:path';

const { DOUBLE_URL: url, DOUBLE_TOKEN: token, DISCORDJS_DIR: directory } = process.env;
const require = createRequire(path.join(directory, 'package.json'));
const { AuditLogEvent, ChannelType, Client, Events, GatewayIntentBits, Partials } = require('discord.js');

const DEADLINE_MS = 20_000;

const client = new Client({
  rest: { api: `${url}/api` },
  partials: [Partials.Message, Partials.Reaction, Partials.GuildMember, Partials.User],
  intents: [
    GatewayIntentBits.Guilds,
    GatewayIntentBits.GuildMembers,
    GatewayIntentBits.GuildModeration,
    GatewayIntentBits.GuildInvites,
    GatewayIntentBits.GuildVoiceStates,
    GatewayIntentBits.GuildMessages,
    GatewayIntentBits.GuildMessageReactions,
    GatewayIntentBits.MessageContent,
  ],
});

/** Every dispatch received, by sequence. */
const received = new Map();
let duplicates = 0;
client.on('raw', (packet) => {
  if (packet.s === null || packet.s === undefined) return;
  if (received.has(packet.s)) duplicates += 1;
  received.set(packet.s, packet.t);
});
const problems = [];
client.on(Events.Error, (error) => problems.push(String(error)));
client.on(Events.Warn, (warning) => problems.push(String(warning)));

/** The next emission of an event that satisfies the condition. */
function next(event, condition = () => true) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${event} in time`)), DEADLINE_MS);
    const listener = (...values) => {
      if (!condition(...values)) return;
      clearTimeout(timer);
      client.off(event, listener);
      resolve(values);
    };
    client.on(event, listener);
  });
}

/** Asks the double until the answer satisfies the condition. */
async function until(what, ask, condition) {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const answer = await ask();
    if (condition(answer)) return answer;
    if (Date.now() > end) throw new Error(`${what}: ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function control(method, place, body) {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${url}/_double/${place}`, { method, headers, body: body && JSON.stringify(body) });
  if (!response.ok) throw new Error(`${place}: ${response.status} ${await response.text()}`);
  return response.json();
}

const session = () => control('GET', 'ledger/sessions').then((answer) => answer.sessions[0]);
const caughtUp = () => until('the stream', session, (state) => received.has(state.sequence));

/** Lets some things happen and waits until they have. */
async function traffic(events, seed) {
  await control('POST', 'traffic', { events_per_second: 2_000, seed, stop_after_events: events });
  await until('the traffic', () => control('GET', 'traffic'), (status) => !status.running);
}

async function login() {
  const ready = next(Events.ClientReady);
  await client.login(token);
  await ready;
  return {
    user: client.user.username,
    bot: client.user.bot,
    guilds: [...client.guilds.cache.values()].map((guild) => ({
      name: guild.name,
      available: guild.available,
      members: guild.memberCount,
      channels: guild.channels.cache.size,
      roles: guild.roles.cache.size,
    })),
  };
}

async function messages(guild) {
  const channel = guild.channels.cache.find((other) => other.type === ChannelType.GuildText && other.name === 'general');
  const created = next(Events.MessageCreate, (message) => message.content === 'hello from discord.js');
  const sent = await channel.send('hello from discord.js');
  const [echo] = await created;
  const updated = next(Events.MessageUpdate, (_, message) => message.id === sent.id);
  await sent.edit('edited by discord.js');
  const [, edited] = await updated;
  const reacted = next(Events.MessageReactionAdd);
  await sent.react('👍');
  const [reaction] = await reacted;
  const fetched = await channel.messages.fetch({ message: sent.id, force: true });
  const deleted = next(Events.MessageDelete);
  await sent.delete();
  const [gone] = await deleted;
  return {
    echoed: echo.id === sent.id && echo.author.id === client.user.id,
    edited: edited.content,
    emoji: reaction.emoji.name,
    fetched: fetched.content,
    reactions: fetched.reactions.cache.size,
    deleted: gone.id === sent.id,
  };
}

async function moderation(guild) {
  const fetched = await guild.fetch();
  const listed = await guild.members.list({ limit: 50 });
  const owner = await guild.fetchOwner();
  const target = listed.find((member) => member.id !== owner.id && !member.user.bot && member.roles.cache.size === 1);
  const left = next(Events.GuildMemberRemove);
  const banned = next(Events.GuildBanAdd);
  const entry = next(Events.GuildAuditLogEntryCreate, (written) => written.action === AuditLogEvent.MemberBanAdd);
  await guild.members.ban(target, { reason: 'a test ✓' });
  const [[leaver], [ban], [written]] = await Promise.all([left, banned, entry]);
  const bans = await guild.bans.fetch();
  const unbanned = next(Events.GuildBanRemove);
  await guild.members.unban(target.id);
  const [lifted] = await unbanned;
  const refusal = await guild.members.ban(owner.id).then(() => null, (error) => ({ status: error.status, code: error.code }));
  const unknown = await client.users.fetch('123456789012345678').then(() => null, (error) => ({ status: error.status, code: error.code }));
  const log = await guild.fetchAuditLogs({ limit: 5 });
  const roles = await guild.roles.fetch();
  const channels = await guild.channels.fetch();
  const chunked = await guild.members.fetch();
  return {
    name: fetched.name,
    listed: listed.size,
    left: leaver.id === target.id,
    banned: ban.user.id === target.id,
    reason: written.reason,
    bans: bans.size,
    lifted: lifted.user.id === target.id,
    refusal,
    unknown,
    log: log.entries.size,
    roles: roles.size,
    channels: channels.size,
    members: chunked.size,
    memberCount: guild.memberCount,
  };
}

async function resume() {
  await traffic(300, 1);
  await caughtUp();
  const before = client.ws.shards.first().sessionInfo.sessionId;
  const seen = received.size;
  // What happens while the gateway is silent can only arrive by replay.
  await control('POST', 'faults', { kind: 'silence', seconds: 600 });
  await traffic(200, 2);
  const resumed = next(Events.ShardResume);
  await control('POST', 'faults', { kind: 'drop_connections' });
  const [, replayed] = await resumed;
  await traffic(100, 3);
  const { sequence, resumes, resumes_elsewhere } = await caughtUp();
  const after = client.ws.shards.first().sessionInfo.sessionId;
  const missing = [];
  for (let number = 1; number <= sequence; number += 1) if (!received.has(number)) missing.push(number);
  return { same: before === after, replayed, grew: received.size - seen, missing, duplicates, resumes, resumes_elsewhere };
}

async function counts() {
  const totals = await control('GET', 'ledger/totals');
  const events = {};
  for (const event of received.values()) events[event] = (events[event] ?? 0) + 1;
  return { totals, events };
}

try {
  const report = { ready: await login() };
  const guild = client.guilds.cache.reduce((one, two) => (one.memberCount <= two.memberCount ? one : two));
  report.messages = await messages(guild);
  report.moderation = await moderation(guild);
  report.resume = await resume();
  report.counts = await counts();
  await client.destroy();
  report.problems = problems;
  console.log(JSON.stringify(report));
} catch (error) {
  console.error(error, problems);
  process.exitCode = 1;
  await client.destroy();
}
