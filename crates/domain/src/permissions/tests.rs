//! The cases of Discord's page "Permissions", one test each.

use proptest::prelude::*;

use super::*;

const GUILD: u64 = 100;
const VIEW: Permissions = Permissions::VIEW_CHANNEL;
const SEND: Permissions = Permissions::SEND_MESSAGES;

fn guild() -> GuildId {
    GuildId::new(GUILD).expect("small")
}

fn role(id: u64) -> RoleId {
    RoleId::new(id).expect("small")
}

fn user(id: u64) -> UserId {
    UserId::new(id).expect("small")
}

fn holder(everyone: Permissions, roles: &[(u64, Permissions)]) -> Holder {
    Holder {
        user: user(7),
        is_owner: false,
        everyone,
        roles: roles.iter().map(|(id, granted)| (role(*id), *granted)).collect(),
        in_timeout: false,
    }
}

fn overwrite(subject: Subject, deny: Permissions, allow: Permissions) -> Overwrite {
    Overwrite { subject, deny, allow }
}

#[test]
fn the_owner_may_do_everything_whatever_channels_say() {
    let owner = Holder { is_owner: true, ..holder(Permissions::NONE, &[]) };
    let hidden = [overwrite(Subject::Role(role(GUILD)), VIEW, Permissions::NONE)];
    assert_eq!(owner.in_guild(), Permissions::ALL);
    assert_eq!(owner.in_channel(guild(), &hidden), Permissions::ALL);
}

#[test]
fn an_administrator_bypasses_overwrites_and_timeouts() {
    let admin = Holder { in_timeout: true, ..holder(VIEW, &[(1, Permissions::ADMINISTRATOR)]) };
    let denied = [overwrite(Subject::Member(user(7)), VIEW | SEND, Permissions::NONE)];
    assert_eq!(admin.in_channel(guild(), &denied), Permissions::ALL);
}

#[test]
fn roles_add_up() {
    let member = holder(VIEW, &[(1, SEND), (2, Permissions::CONNECT)]);
    assert_eq!(member.in_guild(), VIEW | SEND | Permissions::CONNECT);
}

#[test]
fn a_role_overwrite_beats_that_of_everyone_and_a_member_overwrite_beats_both() {
    let member = holder(VIEW | SEND, &[(1, Permissions::NONE)]);
    let everyone = overwrite(Subject::Role(role(GUILD)), SEND, Permissions::NONE);
    let by_role = overwrite(Subject::Role(role(1)), Permissions::NONE, SEND);
    let by_member = overwrite(Subject::Member(user(7)), SEND, Permissions::NONE);
    assert_eq!(member.in_channel(guild(), &[everyone]), VIEW);
    assert_eq!(member.in_channel(guild(), &[by_role, everyone]), VIEW | SEND, "order in the list is of no account");
    assert_eq!(member.in_channel(guild(), &[by_member, by_role, everyone]), VIEW);
}

#[test]
fn among_roles_what_one_allows_wins_over_what_another_denies() {
    let member = holder(VIEW | SEND, &[(1, Permissions::NONE), (2, Permissions::NONE)]);
    let denies = overwrite(Subject::Role(role(1)), SEND, Permissions::NONE);
    let allows = overwrite(Subject::Role(role(2)), Permissions::NONE, SEND);
    assert_eq!(member.in_channel(guild(), &[allows, denies]), VIEW | SEND);
}

#[test]
fn overwrites_of_others_change_nothing() {
    let member = holder(VIEW | SEND, &[(1, Permissions::NONE)]);
    let others = [
        overwrite(Subject::Role(role(9)), SEND, Permissions::NONE),
        overwrite(Subject::Member(user(8)), VIEW, Permissions::NONE),
    ];
    assert_eq!(member.in_channel(guild(), &others), VIEW | SEND);
}

#[test]
fn who_cannot_see_a_channel_can_do_nothing_there() {
    let member = holder(VIEW | SEND | Permissions::MANAGE_MESSAGES, &[]);
    let hidden = [overwrite(Subject::Role(role(GUILD)), VIEW, Permissions::NONE)];
    assert_eq!(member.in_channel(guild(), &hidden), Permissions::NONE);
}

#[test]
fn who_cannot_send_cannot_mention_or_attach() {
    let member = holder(VIEW | SEND | Permissions::ATTACH_FILES | Permissions::MENTION_EVERYONE, &[]);
    let muted = [overwrite(Subject::Role(role(GUILD)), SEND, Permissions::NONE)];
    assert_eq!(member.in_channel(guild(), &muted), VIEW);
}

#[test]
fn a_timeout_leaves_seeing_and_reading() {
    let member = Holder { in_timeout: true, ..holder(VIEW | SEND | Permissions::READ_MESSAGE_HISTORY, &[]) };
    assert_eq!(member.in_channel(guild(), &[]), VIEW | Permissions::READ_MESSAGE_HISTORY);
}

#[test]
fn sets_are_decimal_strings_and_unknown_bits_survive() {
    let text = r#""9223372036854775816""#;
    let set: Permissions = serde_json::from_str(text).expect("reads");
    assert!(set.contains(Permissions::ADMINISTRATOR));
    assert_eq!(serde_json::to_string(&set).expect("writes"), text);
    assert!(serde_json::from_str::<Permissions>(r#""-1""#).is_err());
}

#[test]
fn the_permissions_of_2026_have_their_own_bits() {
    let names: Vec<_> = Permissions::from_bits((1 << 43) | (1 << 44) | (1 << 51) | (1 << 52)).names().collect();
    assert_eq!(names, ["CREATE_GUILD_EXPRESSIONS", "CREATE_EVENTS", "PIN_MESSAGES", "BYPASS_SLOWMODE"]);
}

proptest! {
    #[test]
    fn an_overwrite_of_the_member_always_has_the_last_word(
        everyone: u64, granted: u64, deny: u64, allow: u64, other_deny: u64, other_allow: u64
    ) {
        let ordinary = !Permissions::ADMINISTRATOR;
        let member = holder(
            Permissions::from_bits(everyone) & ordinary,
            &[(1, Permissions::from_bits(granted) & ordinary)],
        );
        let allow = Permissions::from_bits(allow) | VIEW | SEND;
        let own = overwrite(Subject::Member(user(7)), Permissions::from_bits(deny), allow);
        let other =
            overwrite(Subject::Role(role(1)), Permissions::from_bits(other_deny), Permissions::from_bits(other_allow));
        let result = member.in_channel(guild(), &[own, other]);
        prop_assert!(result.contains(allow));
        prop_assert!(!result.intersects(Permissions::from_bits(deny) & !allow));
    }
}
