//! An HTTP server in front of the handlers, where AWS has API Gateway.
//!
//! **Invariant:** handlers see a request as API Gateway would hand it on: read whole, at most 10 MB.

use std::future::Future;

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use guildhall_runtime::Request;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The largest request API Gateway passes on.
const MAX_REQUEST_BYTES: usize = 10 * 1_048_576;

/// Serves `handler` on `listener` until `stop`, and what `metrics` renders on `/metrics`, for Prometheus.
///
/// # Errors
/// When the listener fails.
pub async fn serve<H, F, M>(
    listener: TcpListener,
    stop: CancellationToken,
    metrics: M,
    handler: H,
) -> std::io::Result<()>
where
    M: Fn() -> String + Clone + Send + Sync + 'static,
    H: Fn(Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = guildhall_runtime::Response> + Send + 'static,
{
    let router = Router::new().route("/metrics", get(move || async move { metrics() })).fallback(
        move |request: axum::extract::Request| {
            let handler = handler.clone();
            async move { respond(request, handler).await }
        },
    );
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

async fn respond<H, F>(request: axum::extract::Request, handler: H) -> Response
where
    H: Fn(Request) -> F,
    F: Future<Output = guildhall_runtime::Response>,
{
    let (parts, body) = request.into_parts();
    match axum::body::to_bytes(body, MAX_REQUEST_BYTES).await {
        Ok(body) => handler(Request::from_parts(parts, body)).await.map(Body::from),
        Err(_) => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
    }
}
