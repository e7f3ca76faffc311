//! The signature of an interaction, which every request waits for.

use std::hint::black_box;

use anyhow::{Context as _, Result, ensure};
use ed25519_dalek::{Signature, Signer as _, SigningKey};
use guildhall_discord::Verifier;
use serde_json::json;

use crate::{Benchmark, Better, Claim, Contestant, Figure, Peer, Sample, Scale, Setup, Stopwatch};

pub(super) const BENCHMARK: Benchmark = Benchmark {
    number: 1,
    name: "verify",
    what: "Verifying the Ed25519 signature of an interaction of 2 KB.",
    note: "Each contestant verifies the same eight signed bodies in turn, and refuses one that was changed. Ours includes \
           reading the headers' hexadecimal digits and joining timestamp and body; the limit is `ed25519-dalek`'s strict \
           verification of a message that is already joined. The peers are called as an HTTP handler calls them, with the \
           raw body and the two headers; each has imported its key before where its interface allows it. node:crypto and \
           discord-interactions verify in OpenSSL, in native code: the bare limit itself was seen to be 2 to 2.5 and 4 to 5 \
           times as fast as they are, so more over them would take a faster curve, not less around it.",
    binaries: &[],
    as_deployed: false,
    figures,
    prepare,
};

const BODY_BYTES: usize = 2_048;
const BODIES: u8 = 8;

fn figures() -> Vec<Figure> {
    vec![
        Figure::new("verifications per second of CPU", "1/s", Better::Higher, Sample::per_cpu_second, "guildhall")
            .limit("ed25519-dalek", Claim::RatioAtLeast(0.93))
            .peer("discord-interactions", Claim::Times(7.0))
            .peer("node:crypto", Claim::Times(2.5))
            .peer("tweetnacl", Claim::Times(100.0)),
    ]
}

/// A body with the headers that Discord sends with it.
struct Signed {
    signature: String,
    timestamp: String,
    body: Vec<u8>,
    /// Timestamp and body, for the limit.
    message: Vec<u8>,
    parsed: Signature,
}

fn signed(key: &SigningKey) -> Vec<Signed> {
    let of = |number: u8| {
        let timestamp = format!("17000000{number:02}");
        let text = format!(r#"{{"id":"{number}","type":2,"data":{{"name":"stats"}},"filler":""#);
        let mut body = text.into_bytes();
        body.resize(BODY_BYTES - 2, b'a' + number);
        body.extend_from_slice(b"\"}");
        let message = [timestamp.as_bytes(), &body].concat();
        let parsed = key.sign(&message);
        Signed { signature: hex::encode(parsed.to_bytes()), timestamp, body, message, parsed }
    };
    (0..BODIES).map(of).collect()
}

/// What every contestant states: the good pass, the changed one does not.
fn answer(accepted: u64, ops: u64, refused: bool) -> Result<String> {
    ensure!(accepted == ops, "{accepted} of {ops} good signatures were accepted");
    Ok(format!("all accepted, a changed body refused: {refused}"))
}

fn prepare(setup: &Setup) -> Result<Vec<Contestant>> {
    let key = SigningKey::from_bytes(&[7; 32]);
    let public = hex::encode(key.verifying_key().to_bytes());
    let verifier = Verifier::from_hex(&public).context("the key is unusable")?;

    let bodies = signed(&key);
    let ours = Contestant::here("guildhall", move |scale| {
        let ops = scale.of(4_000, 8);
        let check = |signed: &Signed| verifier.verify(&signed.signature, &signed.timestamp, &signed.body).is_ok();
        let watch = Stopwatch::start();
        let accepted = bodies.iter().cycle().take(of(ops)).filter(|signed| black_box(check(signed))).count();
        let sample = watch.sample(ops);
        let refused = verifier.verify(&bodies[0].signature, &bodies[0].timestamp, &bodies[1].body).is_err();
        Ok(sample.answering(answer(accepted as u64, ops, refused)?))
    });

    let bodies = signed(&key);
    let bare = key.verifying_key();
    let limit = Contestant::here("ed25519-dalek", move |scale| {
        let ops = scale.of(4_000, 8);
        let check = |signed: &Signed| bare.verify_strict(&signed.message, &signed.parsed).is_ok();
        let watch = Stopwatch::start();
        let accepted = bodies.iter().cycle().take(of(ops)).filter(|signed| black_box(check(signed))).count();
        let sample = watch.sample(ops);
        let refused = bare.verify_strict(&bodies[1].message, &bodies[0].parsed).is_err();
        Ok(sample.answering(answer(accepted as u64, ops, refused)?))
    });

    let input: Vec<_> = signed(&key)
        .iter()
        .map(|signed| {
            let body = String::from_utf8_lossy(&signed.body);
            json!({ "signature": signed.signature, "timestamp": signed.timestamp, "body": body })
        })
        .collect();
    let input = json!({ "publicKey": public, "signed": input });
    let peer = |name: &'static str, full: u64| -> Result<Contestant> {
        let process = Peer::node_with(setup, "verify", "verify.mjs", &[("CONTESTANT", name.to_owned())])?;
        let input = input.clone();
        let request = move |scale: Scale| json!({ "ops": scale.of(full, 8), "input": input });
        Ok(Contestant::peer(name, process, request))
    };
    Ok(vec![ours, limit, peer("discord-interactions", 1_000)?, peer("node:crypto", 4_000)?, peer("tweetnacl", 100)?])
}

fn of(ops: u64) -> usize {
    usize::try_from(ops).unwrap_or(usize::MAX)
}
