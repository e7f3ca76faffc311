//! `/sync`: promised at once, queued once.

use serde_json::{Value, json};

use crate::support::{MANAGER, World, now};

async fn queued(world: &World) -> Vec<Value> {
    let received = world
        .queue
        .receive_message()
        .queue_url(&world.deps.queue.url)
        .max_number_of_messages(10)
        .send()
        .await
        .expect("received");
    let bodies = received.messages().iter().filter_map(|message| message.body());
    bodies.map(|body| serde_json::from_str(body).expect("JSON")).collect()
}

#[tokio::test]
async fn the_job_is_queued_once_however_often_the_request_comes() {
    let world = World::new().await.with_queue().await;
    let request = world.command(MANAGER, "fr", "sync");
    assert_eq!(world.ask(&request).await, json!({ "type": 5, "data": { "flags": 64 } }));
    let second = world.ask(&request).await;
    assert!(second.to_string().contains("déjà fait"), "{second}");
    let expires = now().plus_millis(15 * 60_000).as_millis();
    assert_eq!(
        queued(&world).await,
        [json!({
            "job": "sync", "interaction": request["id"], "application": "2", "token": "interaction-token",
            "guild": world.guild, "language": "fr", "expires_at": expires,
        })]
    );
}

#[tokio::test]
async fn a_queue_that_takes_nothing_is_admitted_at_once_and_claims_nothing() {
    let world = World::new().await;
    let answer = world.ask(&world.command(MANAGER, "en-US", "sync")).await;
    assert_eq!((&answer["type"], &answer["data"]["flags"]), (&json!(4), &json!(64)));
    assert!(answer.to_string().contains("could not queue"), "{answer}");
    assert_eq!(world.database.number("SELECT count(*) FROM interactions_seen").await, 0);
}

#[tokio::test]
async fn only_who_may_manage_the_server_can_ask_for_it() {
    let world = World::new().await.with_queue().await;
    let answer = world.ask(&world.command("0", "en-US", "sync")).await;
    assert!(answer.to_string().contains("Manage Server"), "{answer}");
    assert!(queued(&world).await.is_empty());
}
