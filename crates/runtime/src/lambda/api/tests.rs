//! Invocations, taken from a runtime API that the test plays.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use tokio::net::TcpListener;

use super::*;

/// What a runtime API was asked, connection by connection.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<(usize, String, String)>>>);

impl Seen {
    fn requests(&self) -> Vec<(usize, String, String)> {
        self.0.lock().expect("whole").clone()
    }
}

/// A runtime API that answers every question for an invocation with `status`; `keep` says whether it keeps connections.
async fn serve(listener: TcpListener, seen: Seen, status: StatusCode, keep: bool) {
    // Whoever else finds the port keeps nobody waiting.
    let mut connections = JoinSet::new();
    for connection in 1.. {
        let (stream, _) = listener.accept().await.expect("a connection");
        let seen = seen.clone();
        let answer = service_fn(move |request: Request<Incoming>| {
            let seen = seen.clone();
            async move {
                let line = format!("{} {}", request.method(), request.uri());
                let body = request.into_body().collect().await.expect("a body").to_bytes();
                let mut response = Response::new(Full::new(Bytes::from_static(b"{}")));
                if line.starts_with("GET") {
                    *response.status_mut() = status;
                    let id = HeaderValue::from_static("id-1");
                    response.headers_mut().insert("lambda-runtime-aws-request-id", id);
                } else {
                    *response.status_mut() = StatusCode::ACCEPTED;
                }
                let body = String::from_utf8(body.to_vec()).expect("text");
                seen.0.lock().expect("whole").push((connection, line, body));
                Ok::<_, Infallible>(response)
            }
        });
        connections.spawn(Builder::new().keep_alive(keep).serve_connection(TokioIo::new(stream), answer));
    }
}

/// Lets a client with this address (`{}` stands for host and port) take and answer two invocations.
async fn two_invocations(address: &str, keep: bool) -> Vec<(usize, String, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let place = listener.local_addr().expect("bound").to_string();
    let environment = Environment::from_pairs([(ADDRESS, address.replace("{}", &place))]);
    let seen = Seen::default();
    let client = async {
        let mut api = RuntimeApi::of(&environment).expect("an address");
        for _ in 0..2 {
            let invocation = api.next().await.expect("an invocation");
            assert_eq!((invocation.id.as_str(), &invocation.trace, &*invocation.payload), ("id-1", &None, &b"{}"[..]));
            api.answer(&invocation.id, b"[1]".to_vec()).await.expect("answered");
        }
        api.fail("id-2", "because").await.expect("answered");
    };
    tokio::select! {
        () = client => {}
        () = serve(listener, seen.clone(), StatusCode::OK, keep) => {}
    }
    seen.requests()
}

fn expected(base: &str) -> Vec<(String, String)> {
    let path = |what: &str| format!("{base}/2018-06-01/runtime/invocation/{what}");
    let next = (format!("GET {}", path("next")), String::new());
    let answer = (format!("POST {}", path("id-1/response")), "[1]".to_owned());
    let failed = r#"{"errorMessage":"because","errorType":"Failed"}"#.to_owned();
    vec![next.clone(), answer.clone(), next, answer, (format!("POST {}", path("id-2/error")), failed)]
}

#[tokio::test]
async fn invocations_are_taken_and_answered_over_one_connection() {
    let seen = two_invocations("{}", true).await;
    assert!(seen.iter().all(|(connection, ..)| *connection == 1), "{seen:?}");
    assert_eq!(seen.into_iter().map(|(_, line, body)| (line, body)).collect::<Vec<_>>(), expected(""));
}

#[tokio::test]
async fn a_runtime_that_closes_every_connection_and_has_a_base_path_is_served_too() {
    let seen = two_invocations("http://{}/of/functions/", false).await;
    assert_eq!(seen.iter().map(|(connection, ..)| *connection).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(seen.into_iter().map(|(_, line, body)| (line, body)).collect::<Vec<_>>(), expected("/of/functions"));
}

#[tokio::test]
async fn a_runtime_that_is_broken_or_away_ends_the_process() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let place = listener.local_addr().expect("bound").to_string();
    let mut api = RuntimeApi::of(&Environment::from_pairs([(ADDRESS, place)])).expect("an address");
    let broken = tokio::select! {
        next = api.next() => next.err(),
        () = serve(listener, Seen::default(), StatusCode::INTERNAL_SERVER_ERROR, false) => None,
    };
    assert!(matches!(broken, Some(RuntimeApiError::Unexpected(StatusCode::INTERNAL_SERVER_ERROR))), "{broken:?}");
    // The listener is closed by now.
    let away = api.next().await.err();
    assert!(matches!(away, Some(RuntimeApiError::Connect(_) | RuntimeApiError::Connection(_))), "{away:?}");
}

#[test]
fn an_environment_that_is_not_lambdas_is_named() {
    for variables in [vec![], vec![(ADDRESS, "127.0.0.1:9\n")]] {
        let error = RuntimeApi::of(&Environment::from_pairs(variables)).err().expect("refused");
        assert!(error.to_string().contains(ADDRESS), "{error}");
    }
}
