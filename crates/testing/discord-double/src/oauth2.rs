//! OAuth2 as Discord does it: the authorization code grant with PKCE, refresh with rotation, revocation.
//!
//! **Invariant:** a code is used once; a refresh token is used once; revoking any token ends the whole authorization.
//! **Invariant:** time comes from the caller.

mod page;
mod token;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::Router;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use guildhall_domain::{Timestamp, UserId};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use sha2::{Digest, Sha256};

use crate::rest::Api;
use crate::rest::error::ApiError;

/// Seconds an access token lives: seven days.
pub(crate) const ACCESS_SECONDS: i64 = 604_800;
/// Milliseconds a code lives.
const CODE_MILLIS: i64 = 600_000;

macro_rules! scopes {
    ($($variant:ident = $name:literal,)*) => {
        /// What a person may grant.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Scope { $($variant,)* }

        impl Scope {
            /// The scope's name.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The scope with this name.
            pub(crate) fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

scopes! {
    Identify = "identify",
    Email = "email",
    Guilds = "guilds",
    GuildsMembersRead = "guilds.members.read",
    GuildsJoin = "guilds.join",
    Bot = "bot",
    ApplicationsCommands = "applications.commands",
    RoleConnectionsWrite = "role_connections.write",
    Openid = "openid",
}

/// What a bearer token gives access to.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    /// Who authorized the application.
    pub(crate) user: UserId,
    /// What for.
    pub(crate) scopes: BTreeSet<Scope>,
    /// Until when.
    pub(crate) expires: Timestamp,
}

impl Access {
    /// Requires a scope.
    ///
    /// # Errors
    /// When it was not granted.
    pub(crate) fn requires(&self, scope: Scope) -> Result<&Self, ApiError> {
        if self.scopes.contains(&scope) { Ok(self) } else { Err(ApiError::unauthorized()) }
    }
}

/// A request for authorization that a person approved.
#[derive(Debug, Clone)]
struct Grant {
    user: UserId,
    scopes: BTreeSet<Scope>,
    redirect_uri: String,
    /// The PKCE challenge and whether it is hashed (`S256`).
    challenge: Option<(String, bool)>,
    expires: Timestamp,
}

/// A pair of tokens.
#[derive(Debug, Clone)]
struct Tokens {
    access: String,
    refresh: String,
    user: UserId,
    scopes: BTreeSet<Scope>,
    expires: Timestamp,
}

/// Why tokens are refused, in OAuth2's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Denied {
    InvalidGrant,
    InvalidVerifier,
}

/// The codes and tokens that are valid.
#[derive(Debug)]
pub(crate) struct OAuth2(Mutex<Books>);

#[derive(Debug)]
struct Books {
    rng: StdRng,
    codes: HashMap<String, Grant>,
    /// By refresh token.
    tokens: HashMap<String, Tokens>,
}

impl Books {
    fn secret(&mut self) -> String {
        let mut bytes = [0; 24];
        self.rng.fill_bytes(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn issue(&mut self, user: UserId, scopes: BTreeSet<Scope>, now: Timestamp) -> Tokens {
        let expires = now.plus_millis(ACCESS_SECONDS * 1_000);
        let tokens = Tokens { access: self.secret(), refresh: self.secret(), user, scopes, expires };
        self.tokens.insert(tokens.refresh.clone(), tokens.clone());
        tokens
    }
}

impl OAuth2 {
    pub(crate) fn new(seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed ^ 0x000a_0742);
        Self(Mutex::new(Books { rng, codes: HashMap::new(), tokens: HashMap::new() }))
    }

    /// What a bearer token gives access to now.
    pub(crate) fn access(&self, token: &str, now: Timestamp) -> Option<Access> {
        let books = self.books();
        let tokens = books.tokens.values().find(|tokens| tokens.access == token && tokens.expires > now)?;
        Some(Access { user: tokens.user, scopes: tokens.scopes.clone(), expires: tokens.expires })
    }

    /// A code for what a person approved.
    fn approve(&self, grant: Grant) -> String {
        let mut books = self.books();
        let code = books.secret();
        books.codes.insert(code.clone(), grant);
        code
    }

    /// Exchanges a code. A code is spent by the attempt, whether it succeeds or not.
    fn exchange(
        &self,
        code: &str,
        redirect_uri: &str,
        verifier: Option<&str>,
        now: Timestamp,
    ) -> Result<Tokens, Denied> {
        let mut books = self.books();
        let grant = books.codes.remove(code).ok_or(Denied::InvalidGrant)?;
        if grant.expires <= now || grant.redirect_uri != redirect_uri {
            return Err(Denied::InvalidGrant);
        }
        let proven = match (&grant.challenge, verifier) {
            (None, _) => true,
            (Some((challenge, true)), Some(verifier)) => {
                URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())) == *challenge
            }
            (Some((challenge, false)), Some(verifier)) => verifier == challenge,
            (Some(_), None) => false,
        };
        if !proven {
            return Err(Denied::InvalidVerifier);
        }
        Ok(books.issue(grant.user, grant.scopes, now))
    }

    /// Exchanges a refresh token; the old pair is void.
    fn refresh(&self, refresh: &str, now: Timestamp) -> Result<Tokens, Denied> {
        let mut books = self.books();
        let old = books.tokens.remove(refresh).ok_or(Denied::InvalidGrant)?;
        Ok(books.issue(old.user, old.scopes, now))
    }

    /// Ends the authorization a token belongs to. Unknown tokens are no error.
    fn revoke(&self, token: &str) {
        let mut books = self.books();
        let user = books
            .tokens
            .values()
            .find(|tokens| tokens.access == token || tokens.refresh == token)
            .map(|tokens| tokens.user);
        books.tokens.retain(|_, tokens| Some(tokens.user) != user);
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The routes below `/api`.
pub(crate) fn token_routes() -> Router<Api> {
    token::routes()
}

/// The page people see.
pub(crate) fn page_routes() -> Router<Api> {
    page::routes()
}
