//! What invocations write.

use guildhall_domain::Timestamp;
use serde_json::Value;

use super::*;

fn recorder() -> Arc<Embedded> {
    Arc::new(Embedded::new(Some("one".to_owned()), Clock::new(|| Timestamp::from_secs(1_780_000_000))))
}

/// What an invocation that does `work` writes, document by document.
fn invocation(recorder: &Embedded, work: impl FnOnce()) -> Vec<Value> {
    metrics::with_local_recorder(recorder, work);
    let mut written = Counting::default();
    recorder.write(&mut written).expect("written");
    assert!(written.writes <= 1, "one write for all");
    let text = String::from_utf8(written.bytes).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[derive(Default)]
struct Counting {
    bytes: Vec<u8>,
    writes: usize,
}

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.writes += 1;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_gauge_that_an_invocation_did_not_measure_is_not_written_for_it() {
    let recorder = recorder();
    let measures = || {
        metrics::gauge!("db_connections_used").set(90.0);
        metrics::counter!("snapshots_total").increment(1);
    };
    assert_eq!(invocation(&recorder, measures)[0]["db_connections_used"], 90);

    // The database is away: the gauge stays as it was, and is not said again.
    let again = invocation(&recorder, || metrics::counter!("snapshots_total").increment(1));
    assert_eq!((again.len(), &again[0]["snapshots_total"]), (1, &Value::from(1)));
    assert_eq!(again[0].get("db_connections_used"), None);

    // Measured again, it is written, though it be the same.
    assert_eq!(invocation(&recorder, measures)[0]["db_connections_used"], 90);
    assert_eq!(invocation(&recorder, || {}), [Value::Null; 0]);
}

#[test]
fn labels_that_agree_share_a_document() {
    let documents = invocation(&recorder(), || {
        metrics::counter!("requests", "endpoint" => "ping", "status" => "200").increment(2);
        metrics::histogram!("seconds", "endpoint" => "ping").record(0.25);
        metrics::gauge!("level").set(7.0);
        // These do not: another value of the same label, and the same metric once more.
        metrics::counter!("requests", "endpoint" => "stats", "status" => "200").increment(1);
    });
    assert_eq!(documents.len(), 2);
    let of = |document: &Value| {
        let directives = document["_aws"]["CloudWatchMetrics"].as_array().expect("directives").clone();
        directives.into_iter().map(|d| (d["Dimensions"].to_string(), d["Metrics"].to_string())).collect::<Vec<_>>()
    };
    let metric = |name: &str| format!(r#"[{{"Name":"{name}"}}]"#);
    let mut first = of(&documents[0]);
    first.sort();
    assert_eq!(
        first,
        [
            (r#"[["stack","endpoint","status"]]"#.to_owned(), metric("requests")),
            (r#"[["stack","endpoint"]]"#.to_owned(), metric("seconds")),
            (r#"[["stack"]]"#.to_owned(), metric("level")),
        ]
    );
    assert_eq!(documents[0]["_aws"]["Timestamp"], 1_780_000_000_000_i64);
    assert_eq!((&documents[0]["endpoint"], &documents[1]["endpoint"]), (&"ping".into(), &"stats".into()));
    assert_eq!((&documents[0]["requests"], &documents[1]["requests"]), (&2.into(), &1.into()));
}

#[test]
fn more_values_than_a_document_takes_go_on_in_the_next() {
    let documents = invocation(&recorder(), || {
        let seconds = metrics::histogram!("seconds");
        (0..250).for_each(|n| seconds.record(f64::from(n)));
        seconds.record(f64::NAN);
    });
    let sizes: Vec<_> =
        documents.iter().map(|document| document["seconds"].as_array().expect("values").len()).collect();
    assert_eq!(sizes, [100, 100, 50]);
}

#[test]
fn a_counter_that_follows_another_one_is_written_by_what_it_grew() {
    let recorder = recorder();
    assert!(invocation(&recorder, || metrics::counter!("total").absolute(0)).is_empty());
    assert_eq!(invocation(&recorder, || metrics::counter!("total").absolute(5))[0]["total"], 5);
    assert_eq!(invocation(&recorder, || metrics::counter!("total").absolute(7))[0]["total"], 2);
}
