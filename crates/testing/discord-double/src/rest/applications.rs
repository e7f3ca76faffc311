//! The application and its gateway.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde_json::{Value, json};

use super::Api;
use super::extract::{Answer, Answered, Bot};

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/gateway", get(gateway))
        .route("/gateway/bot", get(gateway_bot))
        .route("/applications/@me", get(application))
        .route("/oauth2/applications/@me", get(application))
}

async fn gateway(State(api): State<Api>) -> Answered {
    Answer::json(&json!({ "url": api.gateway.url() }))
}

async fn gateway_bot(State(api): State<Api>, _: Bot) -> Answered {
    Answer::json(&json!({
        "url": api.gateway.url(),
        "shards": api.config.shards,
        "session_start_limit": api.gateway.session_start_limit(),
    }))
}

async fn application(State(api): State<Api>, _: Bot) -> Answered {
    let mut application = api.application_json();
    let owner = api.world.guild_ids().first().and_then(|guild| api.world.guild(*guild).map(|guild| guild.owner));
    let owner = owner.and_then(|owner| api.world.user(owner));
    let more = json!({
        "redirect_uris": api.config.redirect_uris,
        "interactions_endpoint_url": api.config.interactions_endpoint,
        "role_connections_verification_url": null,
        "owner": owner.as_deref(),
        "approximate_guild_count": api.world.guild_ids().len(),
        "approximate_user_install_count": 0,
        "approximate_user_authorization_count": 0,
        "explicit_content_filter": 0,
        "team": null,
        "eligible_oauth2_scopes": ["bot", "applications.commands", "identify", "guilds", "guilds.members.read"],
    });
    if let (Some(application), Value::Object(more)) = (application.as_object_mut(), more) {
        application.extend(more);
    }
    Answer::json(&application)
}

impl Api {
    /// The application as people see it.
    pub(crate) fn application_json(&self) -> Value {
        json!({
            "id": self.config.application_id,
            "name": "Guildhall",
            "icon": null,
            "description": "Administration for communities",
            "type": null,
            "flags": 0,
            "flags_new": "0",
            "bot": self.world.user(self.world.bot_id()).as_deref(),
            "bot_public": true,
            "bot_require_code_grant": false,
            "integration_types_config": { "0": {} },
            "verify_key": self.config.public_key(),
        })
    }
}
