//! An interaction through a Lambda runtime: what a function takes for a signed PING, all its layers included.

use anyhow::{Context as _, Result, ensure};
use ed25519_dalek::{Signer as _, SigningKey};
use guildhall_runtime::lambda::{api_gateway_event, from_api_gateway_answer};
use guildhall_runtime::{Request, system_clock};
use serde_json::{Value, json};

use crate::function::{Function, nest};
use crate::{Benchmark, Better, Claim, Contestant, Figure, Sample, Setup, Stopwatch};

pub(super) const BENCHMARK: Benchmark = Benchmark {
    number: 2,
    name: "interaction",
    what: "An interaction of 2 KB through a local Lambda runtime API: event in, signature, answer out.",
    note: "All are processes under the same runtime API and answer the same signed requests, one after the other. The limit is \
           a program of its own (`crates/testing/bench/limits`): hyper on one connection, the fields it needs of the event, \
           the signature, a constant answer; it has no logs, no metrics, no routing, and does not parse the body. Ours \
           reads the event where it lies, and spends the rest on the request's headers, parsing the interaction, the span \
           for its logs and one line of figures. The peer is a NestJS application with `discord-interactions`, bundled, \
           behind the usual adapter. CPU time is the function's process alone; the latency is what the caller sees, the \
           runtime API included.",
    binaries: &["interactions", "verify-lambda"],
    as_deployed: true,
    figures,
    prepare,
};

fn figures() -> Vec<Figure> {
    vec![
        Figure::new("interactions per second of CPU", "1/s", Better::Higher, Sample::per_cpu_second, "guildhall")
            .limit("hyper + verify", Claim::RatioAtLeast(0.8))
            .peer("nestjs", Claim::Times(5.0)),
        Figure::new("latency, median", "ms", Better::Lower, |sample| sample.extra("p50"), "guildhall")
            .beside("hyper + verify")
            .beside("nestjs"),
        Figure::new("latency, 99 of 100", "ms", Better::Lower, |sample| sample.extra("p99"), "guildhall")
            .beside("hyper + verify")
            .beside("nestjs"),
    ]
}

/// The key that stands for Discord's.
pub(super) fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// A PING with about as many bytes as a command has.
fn body(number: u64) -> String {
    json!({
        "id": number.to_string(),
        "application_id": "1100000000000000001",
        "type": 1,
        "token": "a".repeat(220),
        "version": 1,
        "locale": "en-US",
        "user": {
            "id": "2", "username": "bench", "discriminator": "0", "avatar": null, "global_name": "Bench",
            "public_flags": 0, "bot": false
        },
        "entitlements": [],
        "authorizing_integration_owners": { "0": "81384788765712384" },
        "filler": "b".repeat(1_400)
    })
    .to_string()
}

/// The event of a request with this body, signed now by `signer`.
pub(super) fn event(signer: &SigningKey, body: &str) -> Value {
    let timestamp = system_clock().now().as_secs().to_string();
    let signature = hex::encode(signer.sign(format!("{timestamp}{body}").as_bytes()).to_bytes());
    let mut request = Request::new(body.to_owned().into());
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = http::Uri::from_static("/interactions");
    for (name, value) in [
        ("content-type", "application/json"),
        ("x-signature-ed25519", &signature),
        ("x-signature-timestamp", &timestamp),
    ] {
        if let Ok(value) = http::HeaderValue::from_str(value) {
            request.headers_mut().insert(name, value);
        }
    }
    let mut event = api_gateway_event(&request);
    // API Gateway states them twice, and some read only these.
    let headers = event["headers"].as_object().cloned().unwrap_or_default();
    event["multiValueHeaders"] = headers.into_iter().map(|(name, value)| (name, json!([value]))).collect();
    event
}

/// The variables that the function needs, with a database of its own, which lives as long as what is returned.
pub(super) fn environment(setup: &Setup) -> Result<Vec<(&'static str, String)>> {
    let mut environment = vec![
        ("DISCORD_PUBLIC_KEY", hex::encode(key().verifying_key().to_bytes())),
        ("DISCORD_APPLICATION_ID", "1100000000000000001".to_owned()),
        // It answers the worker's first call only.
        ("DISCORD_API_URL", "http://127.0.0.1:9".to_owned()),
        ("DISCORD_TOKEN", "not a token".to_owned()),
        ("DATABASE_URL", setup.service("GUILDHALL_TEST_POSTGRES")?.to_owned()),
        ("REDIS_URL", setup.service("GUILDHALL_TEST_REDIS")?.to_owned()),
        ("WORK_QUEUE_URL", format!("{}/000000000000/none", setup.service("GUILDHALL_TEST_AWS")?)),
    ];
    environment.extend(setup.aws()?);
    Ok(environment)
}

/// Whether the answer is a PONG.
pub(super) fn is_pong(answer: &Value) -> bool {
    from_api_gateway_answer(answer).is_some_and(|answer| {
        let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        answer.status() == 200 && body["type"] == 1
    })
}

fn contestant(name: &'static str, function: Function) -> Contestant {
    Contestant::new(name, move |scale| {
        let ops = scale.of(1_000, 5);
        let signed: Vec<_> = (1..=ops).map(|number| event(&key(), &body(number))).collect();
        let watch = Stopwatch::start();
        let burst = function.burst(&signed, is_pong)?;
        let sample = watch.sample_of(ops, burst.cpu);
        let forged = function.invoke(&event(&SigningKey::from_bytes(&[8; 32]), &body(1)))?;
        let refused = from_api_gateway_answer(&forged).context("not an HTTP answer")?.status();
        ensure!(refused == 401, "a forged request was answered with {refused}");
        Ok(sample
            .with("p50", burst.percentile(50))
            .with("p99", burst.percentile(99))
            .answering("PONG, and 401 to what is forged"))
    })
}

fn prepare(setup: &Setup) -> Result<Vec<Contestant>> {
    let environment = environment(setup)?;
    let log = setup.scratch().join("functions.log");
    let mut contestants = Vec::new();
    for (name, binary) in [("guildhall", "interactions"), ("hyper + verify", "verify-lambda")] {
        if let Some(binary) = setup.deployed(binary)? {
            contestants.push(contestant(name, Function::start(&binary, &environment, &log)?));
        }
    }
    let node = nest(setup)?;
    contestants.push(contestant("nestjs", Function::start(&node.program, &environment, &log)?));
    Ok(contestants)
}
