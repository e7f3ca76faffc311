//! The page where a simulated person approves or refuses the application.
//!
//! **Invariant:** everything that came with the request is escaped before it is written into the page.

use std::collections::BTreeSet;
use std::fmt::Write;

use axum::Router;
use axum::extract::{Form, Query, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use guildhall_domain::{GuildId, UserId};
use http::StatusCode;
use serde::Deserialize;
use url::Url;

use super::{CODE_MILLIS, Grant, Scope};
use crate::rest::Api;
use crate::world::Presence;

/// Members of each guild the page offers.
const OFFERED: usize = 12;
/// The bot brings this many members when it joins a guild, as for a client without a threshold of its own.
const LARGE_THRESHOLD: usize = 50;

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/oauth2/authorize", get(show).post(decide))
}

/// A request for authorization.
#[derive(Debug, Clone, Deserialize)]
struct Request {
    client_id: String,
    response_type: Option<String>,
    redirect_uri: Option<String>,
    scope: String,
    state: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
    guild_id: Option<GuildId>,
}

#[derive(Debug, Deserialize)]
struct Decision {
    user_id: UserId,
    decision: String,
}

/// A request that makes sense.
struct Checked {
    scopes: BTreeSet<Scope>,
    redirect: Option<Url>,
}

async fn show(State(api): State<Api>, Query(request): Query<Request>) -> Response {
    match check(&api, &request) {
        Ok(checked) => Html(page(&api, &checked)).into_response(),
        Err(problem) => refuse(problem),
    }
}

async fn decide(State(api): State<Api>, Query(request): Query<Request>, Form(decision): Form<Decision>) -> Response {
    let checked = match check(&api, &request) {
        Ok(checked) => checked,
        Err(problem) => return refuse(problem),
    };
    let Some(user) = api.world.user(decision.user_id).filter(|user| !user.bot) else {
        return refuse("There is no such person.");
    };
    if decision.decision != "approve" {
        return answer(&checked, &request, ("error", "access_denied"));
    }
    if let Some(guild) = request.guild_id.filter(|_| checked.scopes.contains(&Scope::Bot)) {
        let Some(mut guild) = api.world.guild(guild) else { return refuse("There is no such guild.") };
        if guild.presence == Presence::Left {
            guild.become_available(LARGE_THRESHOLD);
        }
    }
    let challenge = request.code_challenge.clone();
    let hashed = request.code_challenge_method.as_deref() == Some("S256");
    let code = api.oauth2.approve(Grant {
        user: user.id,
        scopes: checked.scopes.clone(),
        redirect_uri: request.redirect_uri.clone().unwrap_or_default(),
        challenge: challenge.map(|challenge| (challenge, hashed)),
        expires: api.now().plus_millis(CODE_MILLIS),
    });
    answer(&checked, &request, ("code", &code))
}

fn check(api: &Api, request: &Request) -> Result<Checked, &'static str> {
    if request.client_id != api.config.application_id.to_string() {
        return Err("Unknown application.");
    }
    let scopes: Option<BTreeSet<Scope>> = request.scope.split_whitespace().map(Scope::from_name).collect();
    let Some(scopes) = scopes.filter(|scopes| !scopes.is_empty()) else {
        return Err("The requested scope is invalid, unknown, or malformed.");
    };
    // Adding the bot alone needs no redirect and no code.
    let install = scopes.iter().all(|scope| matches!(scope, Scope::Bot | Scope::ApplicationsCommands));
    let allowed = &api.config.redirect_uris;
    let redirect = match &request.redirect_uri {
        None if install => None,
        Some(uri) if allowed.is_empty() || allowed.contains(uri) => match Url::parse(uri) {
            Ok(uri) => Some(uri),
            Err(_) => return Err("Invalid OAuth2 redirect_uri."),
        },
        _ => return Err("Invalid OAuth2 redirect_uri."),
    };
    if redirect.is_some() && request.response_type.as_deref() != Some("code") {
        return Err("Unsupported response type.");
    }
    if request.code_challenge_method.as_deref().is_some_and(|method| !matches!(method, "S256" | "plain")) {
        return Err("Unsupported code challenge method.");
    }
    Ok(Checked { scopes, redirect })
}

fn answer(checked: &Checked, request: &Request, (key, value): (&str, &str)) -> Response {
    let Some(mut target) = checked.redirect.clone() else { return Html("<p>Done.</p>").into_response() };
    target.query_pairs_mut().append_pair(key, value);
    if let Some(state) = &request.state {
        target.query_pairs_mut().append_pair("state", state);
    }
    if let Some(guild) = request.guild_id.filter(|_| key == "code") {
        target.query_pairs_mut().append_pair("guild_id", &guild.to_string());
    }
    Redirect::to(target.as_str()).into_response()
}

fn refuse(reason: &str) -> Response {
    (StatusCode::BAD_REQUEST, Html(format!("<p>{}</p>", escape(reason)))).into_response()
}

/// The form posts to its own address, so the request's parameters need not be repeated in it.
fn page(api: &Api, checked: &Checked) -> String {
    let mut people = String::new();
    for id in api.world.guild_ids() {
        let Some(guild) = api.world.guild(id) else { continue };
        let _ = write!(people, "<optgroup label=\"{}\">", escape(&guild.name));
        let owner = guild.owner;
        let first = guild.member(owner).into_iter();
        let others = guild.members().filter(|member| member.user.id != owner && !member.user.bot);
        for member in first.chain(others).take(OFFERED) {
            let note = if member.user.id == owner { " (owner)" } else { "" };
            let name = escape(&member.user.username);
            let _ = write!(people, "<option value=\"{}\">{name}{note}</option>", member.user.id);
        }
        people.push_str("</optgroup>");
    }
    let scopes = checked.scopes.iter().map(|scope| format!("<li>{}</li>", scope.name())).collect::<String>();
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Authorize Guildhall</title>\
         <h1>Guildhall wants access to an account</h1><ul>{scopes}</ul>\
         <form method=\"post\"><label>Who are you? <select name=\"user_id\">{people}</select></label> \
         <button name=\"decision\" value=\"approve\">Authorize</button> \
         <button name=\"decision\" value=\"cancel\">Cancel</button></form></html>"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
