//! Makes a world from its configuration.
//!
//! **Invariant:** nothing here reads the clock: a seed gives the same ids and dates whenever it is used.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, RwLock};

use guildhall_domain::{GuildId, RoleId, Timestamp, UserId};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::channel::{Channel, ChannelKind};
use super::guild::Guild;
use super::ids::{Snowflake, Snowflakes};
use super::member::Member;
use super::permissions::{Overwrite, Permissions};
use super::role::{Role, Tags};
use super::user::User;
use super::{Shared, World};
use crate::config::{Config, GuildPlan};
use crate::dispatch::Sink;

/// 2016-01-01, when the first accounts registered.
const FIRST_ACCOUNT: i64 = 1_451_606_400_000;
/// 2023-01-02, when the first guild was made.
const FIRST_GUILD: i64 = 1_672_617_600_000;
/// 2025-12-01: everyone joined before.
const LAST_JOIN: i64 = 1_764_547_200_000;
/// Every so manieth member is a bot.
const MEMBERS_PER_BOT: u32 = 60;

const TEXT: [&str; 12] = [
    "general",
    "introductions",
    "help",
    "show-and-tell",
    "off-topic",
    "events",
    "music",
    "games",
    "books",
    "food",
    "random",
    "feedback",
];
const VOICE: [&str; 6] = ["Lounge", "Workshop", "Game Night", "Study Hall", "Stage Door", "Quiet Room"];
const FIRST: [&str; 32] = [
    "amber", "brisk", "calm", "dapper", "eager", "frosty", "gentle", "hazel", "icy", "jolly", "keen", "lucky",
    "mellow", "noble", "olive", "polar", "quiet", "rustic", "sunny", "tidal", "urban", "velvet", "witty", "young",
    "zesty", "bold", "crisp", "dusky", "early", "fabled", "golden", "humble",
];
const SECOND: [&str; 32] = [
    "badger", "cedar", "dolphin", "ember", "falcon", "garnet", "heron", "ibis", "juniper", "kestrel", "lantern",
    "maple", "nettle", "otter", "pebble", "quill", "raven", "sparrow", "thistle", "umbra", "violet", "walnut",
    "yarrow", "zephyr", "acorn", "birch", "comet", "drift", "elm", "fern", "gale", "harbor",
];
const LOCALES: [&str; 8] = ["en-US", "en-US", "en-US", "en-GB", "fr", "de", "es-ES", "ja"];

/// The roles every simulated guild has, from the lowest; the bot's own stands between moderators and administrators.
struct Roles {
    regular: RoleId,
    contributor: RoleId,
    moderator: RoleId,
    bot: RoleId,
    admin: RoleId,
}

pub(super) fn world(config: &Config, sink: Sink) -> World {
    let mut rng = StdRng::seed_from_u64(config.seed);
    let bot = User::new(UserId::from_db(config.application_id.to_db()), "Guildhall", None, true, "en-US");
    let shared = Arc::new(Shared {
        application_id: config.application_id,
        bot: bot.clone(),
        ids: Snowflakes::default(),
        sink,
        users: RwLock::default(),
        channels: RwLock::default(),
        webhooks: RwLock::default(),
    });
    let mut users = HashMap::from([(bot.id, bot)]);
    let mut guilds = BTreeMap::new();
    for (number, plan) in (0_i64..).zip(&config.guilds) {
        // An odd number of milliseconds apart, so that neighbours fall into different shards.
        let created = Timestamp::from_millis(FIRST_GUILD + number * 777_777_777);
        let guild = guild(plan, created, &mut rng, &shared, &mut users);
        guilds.insert(guild.id, Mutex::new(guild));
    }
    if let Ok(mut known) = shared.users.write() {
        *known = users;
    }
    World { shared, guilds }
}

fn guild(
    plan: &GuildPlan,
    created: Timestamp,
    rng: &mut StdRng,
    shared: &Arc<Shared>,
    users: &mut HashMap<UserId, Arc<User>>,
) -> Guild {
    let id: GuildId = shared.ids.id(created);
    let accounts: Vec<Arc<User>> = (0..plan.members).map(|number| account(number, plan.members, rng, shared)).collect();
    let owner = accounts.first().map_or(shared.bot.id, |user| user.id);
    let mut guild = Guild::new(id, &plan.name, owner, &plan.locale, shared.clone());
    let roles = roles(&mut guild, created, shared);
    channels(&mut guild, plan, created, shared, &roles);

    let bot = Member::new(shared.bot.clone(), created.plus_millis(60_000), vec![roles.bot]);
    guild.members.insert(shared.bot.id, bot);
    for (number, user) in (0_u32..).zip(accounts) {
        users.insert(user.id, user.clone());
        let joined = Timestamp::from_millis(rng.random_range(created.as_millis()..LAST_JOIN));
        let joined = if number == 0 { created } else { joined };
        let held = match number {
            1 => vec![roles.admin],
            2..=4 => vec![roles.moderator],
            _ if rng.random_ratio(1, 20) => vec![roles.contributor, roles.regular],
            _ if rng.random_ratio(1, 3) => vec![roles.regular],
            _ => Vec::new(),
        };
        guild.members.insert(user.id, Member::new(user, joined, held));
    }
    guild
}

fn account(number: u32, of: u32, rng: &mut StdRng, shared: &Shared) -> Arc<User> {
    let registered = Timestamp::from_millis(rng.random_range(FIRST_ACCOUNT..FIRST_GUILD));
    let id: UserId = shared.ids.id(registered);
    let (first, second) = (FIRST[rng.random_range(0..FIRST.len())], SECOND[rng.random_range(0..SECOND.len())]);
    let is_bot = number + of / MEMBERS_PER_BOT >= of && number > 4;
    let locale = LOCALES[rng.random_range(0..LOCALES.len())];
    let username = format!("{first}.{second}{}", id.get() % 100_000);
    let global_name = rng.random_ratio(2, 3).then(|| format!("{}{} {second}", first[..1].to_uppercase(), &first[1..]));
    User::new(id, &username, global_name.as_deref(), is_bot, locale)
}

fn roles(guild: &mut Guild, created: Timestamp, shared: &Shared) -> Roles {
    let mut add = |name: &str, permissions: Permissions, color: i32| {
        let id = if name == "@everyone" { RoleId::from_db(guild.id.to_db()) } else { shared.ids.id(created) };
        let position = i32::try_from(guild.roles.len()).unwrap_or(i32::MAX);
        guild.roles.insert(id, Role::new(id, name, position, permissions).coloured(color));
        id
    };
    let moderation = Permissions(
        Permissions::KICK_MEMBERS.0
            | Permissions::BAN_MEMBERS.0
            | Permissions::MANAGE_MESSAGES.0
            | Permissions::MODERATE_MEMBERS.0
            | Permissions::VIEW_AUDIT_LOG.0
            | Permissions::MANAGE_THREADS.0
            | Permissions::PIN_MESSAGES.0,
    );
    add("@everyone", Permissions::EVERYONE, 0);
    let roles = Roles {
        regular: add("Regular", Permissions::NONE, 0x0056_b4e9),
        contributor: add("Contributor", Permissions::NONE, 0x0000_9e73),
        moderator: add("Moderator", moderation, 0x00e6_9f00),
        bot: add("Guildhall", Permissions::ALL.without(Permissions::ADMINISTRATOR), 0),
        admin: add("Admin", Permissions::ADMINISTRATOR, 0x00d5_5e00),
    };
    if let Some(role) = guild.roles.get_mut(&roles.bot) {
        role.managed = true;
        role.tags = Some(Tags { bot_id: shared.bot.id });
    }
    roles
}

fn channels(guild: &mut Guild, plan: &GuildPlan, created: Timestamp, shared: &Shared, roles: &Roles) {
    let mut position = 0;
    let mut add = |kind: ChannelKind, name: &str, parent| {
        let id = shared.ids.id(created);
        let mut channel = Channel::new(id, kind, name);
        (channel.position, channel.parent) = (position, parent);
        position += 1;
        shared.place(id, guild.id);
        guild.channels.insert(id, channel);
        id
    };
    let community = add(ChannelKind::Category, "Community", None);
    let mut last = community;
    for number in 0..plan.text_channels as usize {
        let (name, round) = (TEXT[number % TEXT.len()], number / TEXT.len());
        let name = if round == 0 { name.to_owned() } else { format!("{name}-{}", round + 1) };
        last = add(ChannelKind::Text, &name, Some(community));
    }
    let voice = add(ChannelKind::Category, "Voice", None);
    for number in 0..plan.voice_channels as usize {
        let (name, round) = (VOICE[number % VOICE.len()], number / VOICE.len());
        let name = if round == 0 { name.to_owned() } else { format!("{name} {}", round + 1) };
        add(ChannelKind::Voice, &name, Some(voice));
    }
    // The last of several text channels is for the team: it shows what overwrites do.
    if let Some(team) = guild.channels.get_mut(&last).filter(|_| plan.text_channels >= 4) {
        "team".clone_into(&mut team.name);
        let see = Permissions::VIEW_CHANNEL;
        let allow =
            |role: RoleId| Overwrite { id: Snowflake(role.get()), kind: 0, allow: see, deny: Permissions::NONE };
        let everyone = Overwrite { id: Snowflake(guild.id.get()), kind: 0, allow: Permissions::NONE, deny: see };
        team.overwrites = vec![everyone, allow(roles.moderator), allow(roles.bot)];
    }
}
