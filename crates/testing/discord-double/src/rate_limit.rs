//! Discord's rate limits: one bucket per route and major parameter, one for everything, and the ban for too many
//! refused requests (Discord documentation, "Rate Limits").
//!
//! **Invariant:** time comes from the caller, so a test that holds the clock decides when a bucket refills.
//! **Invariant:** interaction callbacks and webhook tokens do not count against the global limit.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use guildhall_domain::Timestamp;
use http::Method;

/// Requests a second for one token.
const GLOBAL_LIMIT: u32 = 50;
/// Refused requests (401, 403, 429) in ten minutes after which the address is banned.
const REFUSED_LIMIT: u32 = 10_000;
const REFUSED_WINDOW_MILLIS: i64 = 600_000;
/// Above so many buckets those that have refilled are forgotten.
const BUCKETS_KEPT: usize = 10_000;

/// Which bucket a request falls into.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Route {
    /// The method and the path with ids replaced: what the bucket's name stands for.
    pub(crate) pattern: String,
    /// The channel, guild or webhook the bucket is for.
    pub(crate) major: String,
    /// Whether the request counts against the global limit.
    pub(crate) global: bool,
    limit: u32,
    window_millis: i64,
}

/// How a request stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Standing {
    /// Requests the bucket allows in its window.
    pub(crate) limit: u32,
    /// Requests left.
    pub(crate) remaining: u32,
    /// When the bucket is full again.
    pub(crate) reset: Timestamp,
    /// Milliseconds until then.
    pub(crate) reset_after_millis: i64,
    /// The bucket's name.
    pub(crate) bucket: String,
    /// Why the request is refused, if it is.
    pub(crate) refused: Option<Refused>,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The bucket is empty.
    Bucket,
    /// The token is above fifty requests a second; the milliseconds until it may go on.
    Global(i64),
    /// The address is banned for its refused requests; the milliseconds until it may go on.
    Banned(i64),
}

#[derive(Debug, Default)]
struct Window {
    used: u32,
    ends: i64,
}

impl Window {
    /// Begins anew when the window has passed.
    fn roll(&mut self, now: i64, length: i64) {
        if now >= self.ends {
            (self.used, self.ends) = (0, now + length);
        }
    }
}

#[derive(Debug, Default)]
struct Counts {
    buckets: HashMap<(String, String, String), Window>,
    global: HashMap<String, Window>,
    refused: Window,
}

/// Keeps count.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    enforced: bool,
    counts: Mutex<Counts>,
}

impl RateLimiter {
    /// A limiter. One that does not enforce still counts and tells.
    pub(crate) fn new(enforced: bool) -> Self {
        Self { enforced, counts: Mutex::default() }
    }

    /// Counts a request by the holder of `token` and tells how it stands.
    pub(crate) fn take(&self, token: &str, route: &Route, now: Timestamp) -> Standing {
        let now_millis = now.as_millis();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = &mut *counts;
        if counts.buckets.len() > BUCKETS_KEPT {
            counts.buckets.retain(|_, window| window.ends > now_millis);
        }
        let key = (token.to_owned(), route.pattern.clone(), route.major.clone());
        let window = counts.buckets.entry(key).or_default();
        window.roll(now_millis, route.window_millis);
        let global = counts.global.entry(token.to_owned()).or_default();
        global.roll(now_millis, 1_000);
        counts.refused.roll(now_millis, REFUSED_WINDOW_MILLIS);

        let refused = if !self.enforced {
            None
        } else if counts.refused.used >= REFUSED_LIMIT {
            Some(Refused::Banned(counts.refused.ends - now_millis))
        } else if route.global && global.used >= GLOBAL_LIMIT {
            Some(Refused::Global(global.ends - now_millis))
        } else if window.used >= route.limit {
            Some(Refused::Bucket)
        } else {
            None
        };
        if refused.is_none() {
            window.used = (window.used + 1).min(route.limit);
            global.used += u32::from(route.global);
        }
        Standing {
            limit: route.limit,
            remaining: route.limit - window.used,
            reset: Timestamp::from_millis(window.ends),
            reset_after_millis: window.ends - now_millis,
            bucket: name(&route.pattern),
            refused,
        }
    }

    /// Notes that a request was answered with 401, 403 or 429.
    pub(crate) fn note_refused(&self, now: Timestamp) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.refused.roll(now.as_millis(), REFUSED_WINDOW_MILLIS);
        counts.refused.used += 1;
    }
}

fn name(pattern: &str) -> String {
    let mut hasher = DefaultHasher::new();
    pattern.hash(&mut hasher);
    format!("{:016x}{:016x}", hasher.finish(), hasher.finish().rotate_left(17))
}

impl Route {
    /// The bucket of a request; `path` is the part after `/api/v10`.
    pub(crate) fn of(method: &Method, path: &str) -> Self {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let majors = match parts.first().copied() {
            Some("channels" | "guilds") => 1,
            // A webhook's token is part of its identity; so is an interaction's.
            Some("webhooks" | "interactions") => 2,
            _ => 0,
        };
        let mut pattern = method.as_str().to_owned();
        for (index, part) in parts.iter().enumerate() {
            pattern.push('/');
            let variable = part.parse::<u64>().is_ok() || (1..=majors).contains(&index) || follows_code(&parts, index);
            pattern.push_str(if variable { ":id" } else { part });
        }
        let major = parts.iter().skip(1).take(majors).copied().collect::<Vec<_>>().join("/");
        let by_token = majors == 2 && parts.len() > 2;
        let (limit, window_millis) = allowance(method, &parts);
        Self { pattern, major, global: !by_token, limit, window_millis }
    }
}

/// Whether a part of the path is a code or an emoji rather than a name.
fn follows_code(parts: &[&str], index: usize) -> bool {
    index > 0 && matches!(parts[index - 1], "reactions" | "invites")
}

/// How many requests in how many milliseconds. Discord tells only in its headers; these are of its order of magnitude.
fn allowance(method: &Method, parts: &[&str]) -> (u32, i64) {
    match (method.as_str(), parts) {
        ("POST", ["channels", _, "messages"]) => (5, 5_000),
        ("PATCH", ["channels", _, "messages", _]) => (5, 5_000),
        ("DELETE", ["channels", _, "messages", _]) => (5, 1_000),
        ("PUT" | "DELETE", ["channels", _, "messages", _, "reactions", ..]) => (4, 1_000),
        ("POST", ["webhooks", ..]) => (5, 2_000),
        ("PATCH" | "DELETE", ["webhooks", ..]) => (30, 10_000),
        ("GET", ["gateway", ..]) => (2, 5_000),
        ("POST", ["guilds", _, "bulk-ban"]) => (2, 10_000),
        ("PUT" | "POST", ["applications", _, ..]) => (20, 20_000),
        ("GET", _) => (50, 1_000),
        _ => (10, 10_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_767_225_600);

    fn post(channel: u64) -> Route {
        Route::of(&Method::POST, &format!("/channels/{channel}/messages"))
    }

    #[test]
    fn a_bucket_empties_and_refills_with_time() {
        let limiter = RateLimiter::new(true);
        for left in (0..5).rev() {
            let standing = limiter.take("t", &post(1), START);
            assert_eq!((standing.refused, standing.remaining), (None, left));
        }
        let refused = limiter.take("t", &post(1), START.plus_millis(1_500));
        assert_eq!((refused.refused, refused.reset_after_millis), (Some(Refused::Bucket), 3_500));
        assert_eq!(limiter.take("t", &post(2), START).refused, None, "another channel has its own bucket");
        assert_eq!(limiter.take("t", &post(1), START.plus_millis(5_000)).remaining, 4);
    }

    #[test]
    fn the_global_limit_spares_tokens_of_webhooks_and_interactions() {
        let limiter = RateLimiter::new(true);
        for channel in 0..50 {
            assert_eq!(limiter.take("t", &post(channel), START).refused, None);
        }
        assert_eq!(limiter.take("t", &post(50), START).refused, Some(Refused::Global(1_000)));
        let callback = Route::of(&Method::POST, "/interactions/1/tok/callback");
        assert_eq!(limiter.take("t", &callback, START).refused, None);
        assert_eq!(limiter.take("t", &post(50), START.plus_millis(1_000)).refused, None);
    }

    #[test]
    fn ten_thousand_refusals_ban_for_the_rest_of_ten_minutes() {
        let limiter = RateLimiter::new(true);
        for _ in 0..10_000 {
            limiter.note_refused(START);
        }
        let later = START.plus_millis(1_000);
        assert_eq!(limiter.take("t", &post(1), later).refused, Some(Refused::Banned(599_000)));
        assert_eq!(limiter.take("t", &post(1), START.plus_millis(600_000)).refused, None);
    }

    #[test]
    fn patterns_keep_names_and_hide_ids() {
        let route = Route::of(&Method::PUT, "/channels/1/messages/2/reactions/%F0%9F%91%8D/@me");
        assert_eq!(route.pattern, "PUT/channels/:id/messages/:id/reactions/:id/@me");
        assert_eq!((route.major.as_str(), route.global), ("1", true));
        let edit = Route::of(&Method::PATCH, "/webhooks/1/token/messages/@original");
        assert_eq!((edit.major.as_str(), edit.global), ("1/token", false));
    }
}
