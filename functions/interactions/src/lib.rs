//! Discord's interactions: commands, components, modals.
//!
//! - **Trigger:** `POST` from Discord through API Gateway, any path.
//! - **Latency budget:** an answer within 2.5 seconds, always; Discord gives up after 3. What takes longer is queued.
//! - **Idempotency key:** the interaction's id, claimed in the transaction that has its effect. Reading is not claimed.
//! - **Failure policy:** nothing unsigned, stale or oversize is read. Whatever fails after that becomes a message, for the
//!   person alone, that says what was kept and what to do; the cause is logged once, here.
//!
//! **Invariant:** the body is verified as it arrived, before anything parses it.

use std::time::Duration;

use guildhall_app::context::{Connect, ConnectError};
use guildhall_app::interaction::{Action, Interaction};
use guildhall_app::{Ctx, InvalidPublicKey, Reply, Verifier, WorkQueue, commands};
use guildhall_domain::{Clock, Timestamp};
use guildhall_runtime::{ConfigError, Environment, Problem, Request, Response, telemetry};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio::time::Instant;

/// The largest body that is read. Discord's are a few kilobytes.
pub const MAX_BODY_BYTES: usize = 64 * 1_024;
/// How far a request's timestamp may lie from the present, in milliseconds.
pub const FRESHNESS_MILLIS: i64 = 5 * 60 * 1_000;
/// When an apology is sent instead of an answer.
pub const DEADLINE: Duration = Duration::from_millis(2_500);

/// What the handler works with.
#[derive(Debug)]
pub struct Deps {
    /// The database, the cache and the clock.
    pub ctx: Ctx,
    /// Where slow work waits.
    pub queue: WorkQueue,
    /// Checks that requests are Discord's.
    pub verifier: Verifier,
    /// When an apology is sent instead of an answer; [`DEADLINE`] but in tests.
    pub deadline: Duration,
}

/// The function cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A variable is missing or unusable.
    #[error("the configuration is incomplete")]
    Config(#[from] ConfigError),
    /// `DISCORD_PUBLIC_KEY` is no key.
    #[error("DISCORD_PUBLIC_KEY is unusable")]
    PublicKey(#[from] InvalidPublicKey),
    /// An address is unusable.
    #[error("a dependency cannot be configured")]
    Connect(#[from] ConnectError),
}

impl Deps {
    /// With what the variables name, which is connected to when it is first used, or by [`Deps::warm_up`].
    ///
    /// # Errors
    /// When a variable is missing or unusable.
    pub fn from_environment(environment: &Environment, clock: Clock) -> Result<Self, StartError> {
        let verifier = Verifier::from_hex(environment.required("DISCORD_PUBLIC_KEY")?)?;
        let url = environment.required("WORK_QUEUE_URL")?.to_owned();
        let (database, redis) = (environment.secret("DATABASE_URL")?, environment.secret("REDIS_URL")?);
        // Two connections: one may still be busy with a request that was given up.
        let connect =
            Connect { max_connections: 2, transaction_pooler: environment.flag("DATABASE_TRANSACTION_POOLER") };
        let ctx = Ctx::new(&database, &redis, connect, clock)?;
        Ok(Self { ctx, queue: WorkQueue::at(url), verifier, deadline: DEADLINE })
    }

    /// Connects ahead of the first command, and reads the fonts of pictures. A service that is away is no error.
    pub fn warm_up(&self) -> impl Future<Output = ()> + Send + use<> {
        let ctx = self.ctx.clone();
        async move {
            ctx.warm_up().await;
            // The fonts take milliseconds of computing: what has arrived meanwhile goes first.
            tokio::task::yield_now().await;
            guildhall_app::chart::warm_up();
        }
    }
}

/// Answers one request.
pub async fn handle(deps: &Deps, request: Request) -> Response {
    let started = Instant::now();
    let interaction = match admit(deps, &request) {
        Ok(interaction) => interaction,
        Err(problem) => {
            tracing::info!(status = problem.status.as_u16(), kind = problem.kind, "a request was refused");
            count("refused", problem.status);
            let not_allowed = problem.status == StatusCode::METHOD_NOT_ALLOWED;
            let mut response = problem.into_response();
            if not_allowed {
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            }
            return response;
        }
    };
    let work = commands::dispatch(&deps.ctx, &deps.queue, &interaction);
    // Discord is always answered with 200; these are what the answer would be worth without an apology.
    let (reply, what, outcome, status) = match tokio::time::timeout(deps.deadline, work).await {
        Ok(done) => {
            let (outcome, status) = match &done.error {
                None => ("ok", StatusCode::OK),
                Some(error) => {
                    let error = telemetry::chain(error);
                    tracing::error!(interaction = %interaction.id, what = done.what, error, "an interaction failed");
                    ("failed", StatusCode::INTERNAL_SERVER_ERROR)
                }
            };
            (done.reply, done.what, outcome, status)
        }
        Err(_) => {
            let apology = commands::too_long(&interaction).of(interaction.language);
            (Reply::ephemeral(apology), "unknown", "timed out", StatusCode::GATEWAY_TIMEOUT)
        }
    };
    let rendered = reply.render(interaction.id);
    let duration_ms = started.elapsed().as_secs_f64() * 1_000.0;
    count(what, status);
    metrics::histogram!("api_request_duration_seconds", "endpoint" => what).record(started.elapsed().as_secs_f64());
    if interaction.action != Action::Ping {
        let (id, guild) = (interaction.id, interaction.guild.map(tracing::field::display));
        let bytes = rendered.body.len();
        tracing::info!(interaction = %id, guild, what, outcome, duration_ms, bytes, "interaction answered");
    }
    let mut response = Response::new(rendered.body.into());
    if let Ok(content_type) = HeaderValue::from_str(&rendered.content_type) {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    response
}

fn count(endpoint: &'static str, status: StatusCode) {
    let status = status.as_str().to_owned();
    metrics::counter!("api_requests_total", "endpoint" => endpoint, "status" => status).increment(1);
}

/// Lets through what Discord signed a moment ago, and reads it.
fn admit(deps: &Deps, request: &Request) -> Result<Interaction, Problem> {
    const UNSIGNED: Problem =
        Problem::new(StatusCode::UNAUTHORIZED, "/problems/bad-signature", "The request is not signed by Discord.");
    if request.method() != Method::POST {
        return Err(Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "/problems/method-not-allowed",
            "Interactions are sent with POST.",
        ));
    }
    let body = request.body();
    if body.len() > MAX_BODY_BYTES {
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "/problems/too-large",
            "The body is larger than any interaction.",
        ));
    }
    let signature = text(request.headers(), "x-signature-ed25519").ok_or(UNSIGNED)?;
    let timestamp = text(request.headers(), "x-signature-timestamp").ok_or(UNSIGNED)?;
    deps.verifier.verify(signature, timestamp, body).map_err(|_| UNSIGNED)?;
    let seconds: i64 = timestamp.parse().map_err(|_| UNSIGNED)?;
    let sent = Timestamp::from_millis(seconds.saturating_mul(1_000));
    if deps.ctx.clock.now().millis_since(sent).saturating_abs() > FRESHNESS_MILLIS {
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "/problems/stale-request",
            "The request's timestamp is too far from the present.",
        ));
    }
    Interaction::parse(body).map_err(|error| {
        tracing::warn!(error = telemetry::chain(&error), "a signed body is no interaction");
        Problem::new(StatusCode::BAD_REQUEST, "/problems/malformed", "The body is not an interaction.")
    })
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
