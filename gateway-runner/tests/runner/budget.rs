//! What is left of the day's IDENTIFYs, for who looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_sdk_dynamodb::types::AttributeValue;
use guildhall_domain::{Clock, Timestamp};
use guildhall_gateway_runner::discovery::Discovery;
use guildhall_gateway_runner::identify::Gate;
use guildhall_gateway_runner::status::Status;
use secrecy::SecretString;

use crate::support::{APPLICATION, Aws, Runner, config, counts, double};
use crate::withheld::Withheld;

#[tokio::test]
async fn what_is_left_is_as_the_table_has_it_and_all_again_when_discords_window_is_over() {
    let aws = Aws::new("left").await;
    let now = Arc::new(AtomicI64::new(1_000_000));
    let clock = {
        let now = now.clone();
        Clock::new(move || Timestamp::from_millis(now.load(Ordering::Relaxed)))
    };
    let discovery = Discovery::new("http://127.0.0.1:1", &SecretString::from("token"));
    let gate = Gate::new(aws.table(clock.clone()), discovery, clock, Status::default(), String::new());
    assert_eq!(gate.measure().await.expect("readable"), None, "nobody has asked Discord yet");
    // As another runner leaves it.
    let number = |value: i64| AttributeValue::N(value.to_string());
    let put =
        aws.dynamo.put_item().table_name(&aws.name).item("pk", AttributeValue::S(format!("budget#{APPLICATION}")));
    put.item("sk", AttributeValue::S("budget".to_owned()))
        .item("counter", number(1))
        .item("window_ends", number(2_000_000))
        .item("remaining", number(3))
        .item("total", number(1_000))
        .item("max_concurrency", number(1))
        .send()
        .await
        .expect("writable");
    assert_eq!(gate.measure().await.expect("readable"), Some(3));
    now.store(2_000_000, Ordering::Relaxed);
    assert_eq!(gate.measure().await.expect("readable"), Some(1_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_and_a_unit_whose_claims_were_not_answered_are_not_claimed_again() {
    let aws = Aws::new("claimed").await;
    let queues = [aws.create_queue("0").await];
    let (double, disk) = (double(1, 1).await, tempfile::tempdir().expect("a folder"));
    let way = Withheld::losing_answers("claimed_by").await;
    let runner = Runner::start(config(&double, &aws, &queues, disk.path()), &way.before(&aws));
    counts("a session", &double, |counts| counts.identifies == 1).await;
    assert_eq!(way.count(), 4, "each was asked again");
    let key = |value: &str| AttributeValue::S(value.to_owned());
    let item = aws.dynamo.get_item().table_name(&aws.name).key("pk", key(&format!("pace#{APPLICATION}")));
    let item = item.key("sk", key("0")).send().await.expect("readable").item.expect("a claim");
    assert_eq!(item["counter"], AttributeValue::N("1".to_owned()), "one IDENTIFY, one claim");
    let item = aws.dynamo.get_item().table_name(&aws.name).key("pk", key(&format!("budget#{APPLICATION}")));
    let item = item.key("sk", key("budget")).send().await.expect("readable").item.expect("a budget");
    assert_eq!(item["counter"], AttributeValue::N("1".to_owned()), "and one unit");
    runner.stop().await;
}
