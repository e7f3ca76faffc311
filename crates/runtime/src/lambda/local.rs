//! Events as AWS makes them, for local runtimes, payload files and tests; and what a function answered.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

use crate::delivery::Delivery;
use crate::{Request, Response};

/// The SQS event that Lambda would hand a function for these messages; for local runtimes and payload files.
pub fn sqs_event(deliveries: &[Delivery], queue_arn: &str) -> serde_json::Value {
    let records: Vec<_> = deliveries
        .iter()
        .map(|delivery| {
            serde_json::json!({
                "messageId": delivery.message_id,
                "receiptHandle": delivery.message_id,
                "body": delivery.body,
                "attributes": {
                    "ApproximateReceiveCount": delivery.receive_count.to_string(),
                    "SentTimestamp": "0",
                    "SenderId": "local",
                    "ApproximateFirstReceiveTimestamp": "0"
                },
                "messageAttributes": {},
                "md5OfBody": "",
                "eventSource": "aws:sqs",
                "eventSourceARN": queue_arn,
                "awsRegion": "us-east-1"
            })
        })
        .collect();
    serde_json::json!({ "Records": records })
}

/// The API Gateway event (REST, proxy integration) that Lambda would hand a function for this request.
pub fn api_gateway_event(request: &Request) -> serde_json::Value {
    let headers: serde_json::Map<_, _> = request
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.into())))
        .collect();
    serde_json::json!({
        "resource": "/{proxy+}",
        "path": request.uri().path(),
        "httpMethod": request.method().as_str(),
        "headers": headers,
        "multiValueHeaders": {},
        "queryStringParameters": null,
        "multiValueQueryStringParameters": {},
        "pathParameters": null,
        "stageVariables": null,
        "requestContext": {
            "resourcePath": "/{proxy+}",
            "httpMethod": request.method().as_str(),
            "path": request.uri().path(),
            "stage": "local",
            "requestId": "local",
            "identity": {}
        },
        "body": BASE64.encode(request.body()),
        "isBase64Encoded": true
    })
}

/// The HTTP response in a function's answer to an API Gateway event; `None` when the answer has another shape.
pub fn from_api_gateway_answer(answer: &serde_json::Value) -> Option<Response> {
    let status = u16::try_from(answer.get("statusCode")?.as_u64()?).ok()?;
    let text = answer.get("body").and_then(serde_json::Value::as_str).unwrap_or_default();
    let body = if answer.get("isBase64Encoded").and_then(serde_json::Value::as_bool).unwrap_or(false) {
        Bytes::from(BASE64.decode(text).ok()?)
    } else {
        Bytes::copy_from_slice(text.as_bytes())
    };
    let mut response = http::Response::builder().status(status);
    for field in ["headers", "multiValueHeaders"] {
        for (name, value) in answer.get(field).and_then(serde_json::Value::as_object).into_iter().flatten() {
            let value = value.as_str().or_else(|| value.get(0).and_then(serde_json::Value::as_str));
            if let Some(value) = value
                && !response.headers_ref().is_some_and(|known| known.contains_key(name.as_str()))
            {
                response = response.header(name.as_str(), value);
            }
        }
    }
    response.body(body).ok()
}
