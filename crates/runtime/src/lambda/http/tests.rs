//! Events of both shapes, good and bad, and the answers to them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::Response;

const LIMIT: usize = 1_000;

fn parse(event: &Value) -> Result<(Shape, Request), (Shape, Refused)> {
    read(&Bytes::from(event.to_string()), LIMIT)
}

/// What a handler sees of an event.
fn seen(event: &Value) -> (Shape, Request) {
    parse(event).unwrap_or_else(|(_, refused)| panic!("{refused:?}: {event}"))
}

fn values<'a>(request: &'a Request, name: &str) -> Vec<&'a str> {
    request.headers().get_all(name).iter().map(|value| value.to_str().expect("text")).collect()
}

/// As API Gateway's REST APIs send it ("Input format of a Lambda function for proxy integration").
fn rest() -> Value {
    json!({
        "resource": "/{proxy+}",
        "path": "/api/guilds/1 2",
        "httpMethod": "PUT",
        "headers": { "Accept": "b", "X-Single": "only here", "Cookie": "a=1; b=2" },
        "multiValueHeaders": { "Accept": ["a", "b"], "Cookie": ["a=1; b=2"] },
        "queryStringParameters": { "tag": "2&3", "name": "é" },
        "multiValueQueryStringParameters": { "tag": ["1", "2&3"], "name": ["é"] },
        "pathParameters": { "proxy": "api/guilds/1" },
        "stageVariables": null,
        "requestContext": {
            "accountId": "000000000000", "apiId": "local", "stage": "live", "requestId": "r", "path": "/live/api",
            "httpMethod": "PUT", "identity": { "sourceIp": "203.0.113.7", "userAgent": null, "cognitoIdentityId": null }
        },
        "body": "{\"a\":\"\u{e9}\"}",
        "isBase64Encoded": false
    })
}

/// As HTTP APIs and function URLs send it ("payload format version 2.0").
fn http() -> Value {
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/live/api/guilds/1%202",
        "rawQueryString": "tag=1&tag=2%263&name=%C3%A9",
        "cookies": ["a=1", "b=2"],
        "headers": { "accept": "a,b", "x-single": "only here" },
        "queryStringParameters": { "tag": "1,2&3" },
        "requestContext": {
            "accountId": "000000000000", "apiId": "local", "stage": "live", "requestId": "r", "domainName": "x",
            "http": {
                "method": "PUT", "path": "/live/api/guilds/1", "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7",
                "userAgent": "agent"
            },
            "time": "12/Mar/2020:19:03:58 +0000", "timeEpoch": 1_583_348_638_390_u64
        },
        "body": "eyJhIjoiw6kifQ==",
        "isBase64Encoded": true
    })
}

#[test]
fn a_request_is_the_same_in_both_shapes() {
    for (event, shape, accept) in [(rest(), Shape::One, vec!["a", "b"]), (http(), Shape::Two, vec!["a,b"])] {
        let (found, request) = seen(&event);
        assert_eq!(found, shape);
        assert_eq!(request.method(), Method::PUT);
        assert_eq!(request.uri().path(), "/api/guilds/1%202");
        let mut query: Vec<_> = request.uri().query().expect("a query").split('&').collect();
        // Objects have no order, lists do.
        query.sort_unstable();
        assert_eq!(query, ["name=%C3%A9", "tag=1", "tag=2%263"]);
        assert_eq!(values(&request, "accept"), accept);
        assert_eq!(values(&request, "x-single"), ["only here"]);
        assert_eq!(values(&request, "cookie"), ["a=1; b=2"]);
        assert_eq!(request.body().as_ref(), "{\"a\":\"é\"}".as_bytes());
        let peer = request.extensions().get::<Peer>().expect("a peer");
        assert_eq!(peer.0, IpAddr::from([203, 0, 113, 7]));
    }
}

#[test]
fn every_recorded_event_reads() {
    let event: Value =
        serde_json::from_str(include_str!("../../../../../infra/events/interactions.json")).expect("JSON");
    let (shape, request) = seen(&event);
    assert_eq!((shape, request.method(), request.uri().path()), (Shape::One, &Method::POST, "/interactions"));
    assert_eq!(values(&request, "x-signature-timestamp"), ["1700000000"]);
    assert_eq!(request.body().as_ref(), event["body"].as_str().expect("text").as_bytes());

    let local = super::super::api_gateway_event(&request);
    assert_eq!(seen(&local).1.body(), request.body(), "a local runtime's event holds the same body");
}

#[test]
fn a_body_without_escapes_is_not_copied() {
    let mut event = rest();
    event["body"] = json!("plain");
    let payload = Bytes::from(event.to_string());
    let (_, request) = read(&payload, LIMIT).expect("a request");
    assert!(payload.as_ptr_range().contains(&request.body().as_ptr()));
}

#[test]
fn paths_lose_the_stage_and_nothing_else() {
    for (raw, stage, path) in [
        ("/live/a", "live", "/a"),
        ("/live", "live", "/"),
        ("/lively/a", "live", "/lively/a"),
        ("/a/live", "live", "/a/live"),
        ("/a", "$default", "/a"),
        ("", "$default", "/"),
        ("/é?#", "$default", "/%C3%A9%3F%23"),
        ("/a%2Fb", "$default", "/a%2Fb"),
    ] {
        let mut event = http();
        event["rawPath"] = json!(raw);
        event["requestContext"]["stage"] = json!(stage);
        assert_eq!(seen(&event).1.uri().path(), path, "{raw} in {stage}");
    }
    // Format 1.0 has no stage in its path.
    let mut event = rest();
    event["path"] = json!("/live/a");
    assert_eq!(seen(&event).1.uri().path(), "/live/a");
}

#[test]
fn what_is_missing_or_null_is_empty() {
    for (mut event, keep) in [(rest(), "httpMethod"), (http(), "version")] {
        let context = event["requestContext"].clone();
        for (name, value) in event.as_object_mut().expect("an object") {
            if !["requestContext", "isBase64Encoded", keep].contains(&name.as_str()) {
                *value = Value::Null;
            }
        }
        let small = json!({ "requestContext": context, (keep): event[keep] });
        for event in [event, small] {
            let (_, request) = seen(&event);
            assert_eq!((request.uri().to_string().as_str(), request.headers().len()), ("/", 0));
            assert!(request.body().is_empty());
        }
    }
}

#[test]
fn what_cannot_be_a_header_is_left_out() {
    let mut event = rest();
    event["multiValueHeaders"] = json!({});
    event["headers"] = json!({ "a b": "x", "ok": "y", "line": "a\r\nb", "null": null, "Ok": "z" });
    let request = seen(&event).1;
    assert_eq!(values(&request, "ok"), ["z", "y"]);
    assert_eq!(request.headers().len(), 2);
}

#[test]
fn bodies_above_the_limit_are_refused_before_they_are_decoded() {
    let fits = "a".repeat(LIMIT);
    for (body, encoded, taken) in [
        (fits.clone(), false, true),
        (fits.clone() + "a", false, false),
        (BASE64.encode(&fits), true, true),
        (BASE64.encode(fits.clone() + "a"), true, false),
        // Not base64 either: nobody has looked.
        ("~".repeat(LIMIT * 2), true, false),
        ("\n".repeat(LIMIT + 1), false, false),
        ("a".repeat(AROUND + ESCAPED * LIMIT), false, false),
    ] {
        let mut event = rest();
        (event["body"], event["isBase64Encoded"]) = (json!(body), json!(encoded));
        match parse(&event) {
            Ok((_, request)) => assert!(taken && request.body().len() == LIMIT),
            Err((_, Refused::Because(problem))) => {
                assert!(!taken, "{} bytes", body.len());
                assert_eq!(problem.status, StatusCode::PAYLOAD_TOO_LARGE);
            }
            Err((_, refused)) => panic!("{refused:?}"),
        }
    }
}

#[test]
fn what_a_client_sent_wrong_is_answered_and_what_is_no_request_is_not() {
    let changed = |mut event: Value, path: &str, value: Value| {
        *event.pointer_mut(path).expect("there") = value;
        event
    };
    let answered = [
        changed(http(), "/body", json!("~~~")),
        changed(http(), "/requestContext/http/method", json!("A B")),
        changed(rest(), "/httpMethod", json!("")),
    ];
    for event in answered {
        let Err((_, Refused::Because(problem))) = parse(&event) else { panic!("{event} was read") };
        assert_eq!(problem.status, StatusCode::BAD_REQUEST);
    }
    let nobody = [
        json!({}),
        json!([]),
        json!("POST /"),
        json!({ "Records": [] }),
        changed(rest(), "/httpMethod", Value::Null),
        changed(rest(), "/headers", json!([["a", "b"]])),
        changed(rest(), "/headers", json!({ "a": 1 })),
        changed(http(), "/requestContext/http", json!({})),
        changed(http(), "/body", json!({ "a": 1 })),
        changed(http(), "/isBase64Encoded", json!("true")),
        changed(http(), "/cookies", json!("a=1")),
    ];
    for event in nobody {
        assert!(matches!(parse(&event), Err((_, Refused::NoRequest(_)))), "{event}");
    }
    for text in ["", "{", "nul", "{\"requestContext\":{}", "\u{feff}{}"] {
        assert!(matches!(read(&Bytes::from(text), LIMIT), Err((_, Refused::NoRequest(_)))), "{text}");
    }
}

#[test]
fn answers_have_the_shape_of_the_request() {
    let mut response = Response::new(Bytes::from_static("{\"é\":\"\\n\"}".as_bytes()));
    *response.status_mut() = StatusCode::CREATED;
    for (name, value) in [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("vary", "x"), ("vary", "y")] {
        response.headers_mut().append(name, HeaderValue::from_static(value));
    }
    let written = |shape, response: &Response| -> Value {
        serde_json::from_slice(&write(shape, response).expect("written")).expect("JSON")
    };
    assert_eq!(
        written(Shape::One, &response),
        json!({
            "statusCode": 201, "multiValueHeaders": { "set-cookie": ["a=1", "b=2"], "vary": ["x", "y"] },
            "body": "{\"é\":\"\\n\"}", "isBase64Encoded": false
        })
    );
    assert_eq!(
        written(Shape::Two, &response),
        json!({
            "statusCode": 201, "headers": { "vary": "x, y" }, "cookies": ["a=1", "b=2"],
            "body": "{\"é\":\"\\n\"}", "isBase64Encoded": false
        })
    );
    // A picture is no text.
    let picture = Response::new(Bytes::from_static(b"\x89PNG"));
    let answer = written(Shape::Two, &picture);
    assert_eq!((&answer["body"], &answer["isBase64Encoded"]), (&json!(BASE64.encode(b"\x89PNG")), &json!(true)));
}

proptest! {
    #[test]
    fn no_event_is_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(read(&Bytes::from(bytes), LIMIT));
    }

    #[test]
    fn any_path_query_and_headers_make_a_request(
        path in any::<String>(), raw_query in any::<String>(), name in any::<String>(), value in any::<String>(),
        body in any::<String>(), stage in "[a-z$]{0,8}",
    ) {
        let mut event = http();
        event["rawPath"] = json!(path);
        event["rawQueryString"] = json!(raw_query);
        event["headers"] = json!({ name.clone(): value.clone() });
        event["requestContext"]["stage"] = json!(stage);
        (event["body"], event["isBase64Encoded"]) = (json!(body), json!(false));
        let (_, request) = seen(&event);
        prop_assert_eq!(request.body().as_ref(), body.as_bytes());

        let mut event = rest();
        event["path"] = json!(path);
        event["queryStringParameters"] = json!({ name.clone(): value.clone() });
        event["multiValueQueryStringParameters"] = json!({ name: [value.clone(), value] });
        (event["body"], event["isBase64Encoded"]) = (json!(BASE64.encode(&body)), json!(true));
        let (_, request) = seen(&event);
        prop_assert_eq!(request.body().as_ref(), body.as_bytes());
    }

    #[test]
    fn what_is_answered_is_what_arrives(body in proptest::collection::vec(any::<u8>(), 0..200), text in any::<String>()) {
        for body in [Bytes::from(body), Bytes::from(text)] {
            for shape in [Shape::One, Shape::Two] {
                let written = write(shape, &Response::new(body.clone())).expect("written");
                let answer = serde_json::from_slice(&written).expect("JSON");
                let arrived = super::super::from_api_gateway_answer(&answer).expect("an answer");
                prop_assert_eq!(arrived.body(), &body);
            }
        }
    }
}
