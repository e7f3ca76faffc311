//! The body of a signed interaction.

use guildhall_app::Interaction;
use guildhall_app::interaction::Action;
use guildhall_app::setup::State;

/// A body is read or refused, and what was read keeps its secret and its limits.
///
/// # Panics
/// When a promise is broken.
pub fn interaction(body: &[u8]) {
    let Ok(read) = Interaction::parse(body) else { return };
    let full: serde_json::Value = serde_json::from_slice(body).expect("what was read is JSON");
    let token = full["token"].as_str().expect("what was read has a token");
    // A short token may stand in the text by chance.
    if token.len() >= 16 {
        let shown = format!("{read:?}");
        let elsewhere = full.to_string().matches(token).count() > 1;
        assert!(elsewhere || !shown.contains(token), "the token prints");
    }
    let (Action::Component { custom_id, .. } | Action::Modal { custom_id, .. }) = &read.action else { return };
    if let Some(state) = State::decode(custom_id) {
        let again = state.encode();
        assert!(again.chars().count() <= 100, "a component's id beyond Discord's limit: {again}");
        assert_eq!(State::decode(&again).as_ref(), Some(&state), "an id means what it meant before");
    }
}
