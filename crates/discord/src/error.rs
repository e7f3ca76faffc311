//! What can go wrong between here and Discord, sorted by what the caller can do about it.

use std::error::Error;

/// A call to Discord failed.
#[derive(Debug, thiserror::Error)]
#[error("{call}: {kind}")]
pub struct ClientError {
    /// The call, such as `get guild`.
    pub call: &'static str,
    /// What happened.
    pub kind: ErrorKind,
    #[source]
    pub(crate) source: Option<Box<dyn Error + Send + Sync>>,
}

/// What happened to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// Discord could not be reached, or did not answer in time.
    #[error("Discord did not answer")]
    Unreachable,
    /// Discord asked to slow down for longer than the call may wait.
    #[error("Discord asked to slow down")]
    RateLimited,
    /// Discord had an error of its own.
    #[error("Discord failed with status {status}")]
    Server {
        /// The HTTP status.
        status: u16,
    },
    /// The bot's token is not valid, or no longer.
    #[error("Discord does not accept the bot's token")]
    Unauthorized,
    /// The bot may not do this.
    #[error("Discord refused (status 403, code {code})")]
    Forbidden {
        /// Discord's JSON error code.
        code: u64,
    },
    /// What the call is about does not exist, or the bot may not know of it.
    #[error("Discord knows no such thing (status 404, code {code})")]
    NotFound {
        /// Discord's JSON error code.
        code: u64,
    },
    /// Discord found fault with the request.
    #[error("Discord refused the request (status {status}, code {code})")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Discord's JSON error code.
        code: u64,
    },
    /// The answer was not what Discord documents.
    #[error("Discord's answer could not be read")]
    Unreadable,
    /// The request could not be built, which is a defect of the caller.
    #[error("the request could not be built")]
    Invalid,
}

impl ClientError {
    /// Whether the same call may succeed later.
    pub const fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Unreachable | ErrorKind::RateLimited | ErrorKind::Server { .. })
    }

    /// Whether the bot has no access to what was asked for.
    pub const fn is_no_access(&self) -> bool {
        matches!(self.kind, ErrorKind::Forbidden { .. } | ErrorKind::NotFound { .. })
    }

    pub(crate) fn from_twilight(call: &'static str, error: twilight_http::Error) -> Self {
        use twilight_http::error::ErrorType;
        let kind = match error.kind() {
            ErrorType::Response { status, error, .. } => by_status(status.get(), code_of(error)),
            ErrorType::RequestTimedOut | ErrorType::RequestError | ErrorType::RequestCanceled => ErrorKind::Unreachable,
            // Error answers whose body is no JSON come from proxies in front of Discord.
            ErrorType::Parsing { .. } => ErrorKind::Server { status: 502 },
            ErrorType::Unauthorized => ErrorKind::Unauthorized,
            _ => ErrorKind::Invalid,
        };
        // Its text quotes the response body, which can hold a token; only what lies behind it is kept.
        Self { call, kind, source: error.into_source() }
    }
}

const fn code_of(error: &twilight_http::api_error::ApiError) -> u64 {
    match error {
        twilight_http::api_error::ApiError::General(general) => general.code,
        _ => 0,
    }
}

const fn by_status(status: u16, code: u64) -> ErrorKind {
    match status {
        401 => ErrorKind::Unauthorized,
        403 => ErrorKind::Forbidden { code },
        404 => ErrorKind::NotFound { code },
        429 => ErrorKind::RateLimited,
        500.. => ErrorKind::Server { status },
        _ => ErrorKind::Refused { status, code },
    }
}
