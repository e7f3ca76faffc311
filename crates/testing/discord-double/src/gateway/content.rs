//! What a session without the message content intent sees of a message.
//!
//! **Invariant:** `content`, `embeds`, `attachments`, `components` and `poll` are empty or absent, as Discord documents
//! it, unless the message is by the bot, mentions it, or belongs to no guild.

use std::collections::BTreeMap;

use guildhall_domain::UserId;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::intents;
use super::session::Session;
use crate::dispatch::Dispatch;

#[derive(Deserialize)]
struct Account {
    id: UserId,
}

/// The event's `d` without message content, or `None` where the session may see it as it is.
pub(super) fn withheld(session: &Session, event: &Dispatch, bot: UserId) -> Option<String> {
    let has_content = matches!(event.event, "MESSAGE_CREATE" | "MESSAGE_UPDATE") && event.guild.is_some();
    if !has_content || session.wants(intents::MESSAGE_CONTENT) {
        return None;
    }
    withhold(&event.data, bot)
}

fn withhold(message: &str, bot: UserId) -> Option<String> {
    let mut fields: BTreeMap<&str, &RawValue> = serde_json::from_str(message).ok()?;
    let author = fields.get("author").and_then(|author| serde_json::from_str::<Account>(author.get()).ok());
    let mentioned = fields.get("mentions").and_then(|list| serde_json::from_str::<Vec<Account>>(list.get()).ok());
    let mut concerned = author.into_iter().chain(mentioned.into_iter().flatten());
    if concerned.any(|account| account.id == bot) {
        return None;
    }
    let (no_text, no_list) = (literal(r#""""#)?, literal("[]")?);
    for (name, value) in [("content", no_text), ("embeds", no_list), ("attachments", no_list), ("components", no_list)]
    {
        if let Some(field) = fields.get_mut(name) {
            *field = value;
        }
    }
    fields.remove("poll");
    let answered = fields.get("referenced_message").and_then(|message| withhold(message.get(), bot));
    let answered = answered.and_then(|message| RawValue::from_string(message).ok());
    if let Some(answered) = &answered {
        fields.insert("referenced_message", answered);
    }
    serde_json::to_string(&fields).ok()
}

fn literal(json: &'static str) -> Option<&'static RawValue> {
    serde_json::from_str(json).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn seen(message: &Value) -> Value {
        let bot = UserId::new(9).unwrap();
        withhold(&message.to_string(), bot).map_or_else(|| message.clone(), |text| serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn other_peoples_content_is_withheld_also_where_it_is_answered() {
        let answered = json!({"id": "1", "author": {"id": "3"}, "content": "secret", "mentions": []});
        let message = json!({
            "id": "2", "author": {"id": "4"}, "mentions": [{"id": "3"}], "content": "secret", "embeds": [{}],
            "attachments": [{}], "components": [{}], "poll": {}, "referenced_message": answered,
        });
        let expected = json!({
            "id": "2", "author": {"id": "4"}, "mentions": [{"id": "3"}], "content": "", "embeds": [],
            "attachments": [], "components": [],
            "referenced_message": {"id": "1", "author": {"id": "3"}, "content": "", "mentions": []},
        });
        assert_eq!(seen(&message), expected);
    }

    #[test]
    fn what_the_bot_wrote_or_is_mentioned_in_is_seen() {
        for message in [
            json!({"author": {"id": "9"}, "content": "mine", "mentions": []}),
            json!({"author": {"id": "4"}, "content": "<@9>", "mentions": [{"id": "9"}]}),
        ] {
            assert_eq!(seen(&message), message);
        }
    }
}
