//! Rate limits, under a clock that the test moves.

use serde_json::json;

use crate::harness::Harness;

#[tokio::test]
async fn a_bucket_tells_how_it_stands_and_refuses_when_it_is_empty() {
    let double = Harness::with(|config| config.rate_limits = true).await;
    let path = format!("/channels/{}/messages", double.channel());
    let say = async || double.bot("POST", &path, Some(json!({ "content": "hello" }))).await;

    let first = say().await;
    assert_eq!((first.status, first.header("x-ratelimit-limit")), (200, "5"));
    assert_eq!((first.header("x-ratelimit-remaining"), first.header("x-ratelimit-reset-after")), ("4", "5.000"));
    assert_eq!(first.header("x-ratelimit-reset"), "1767268805.000");
    let bucket = first.header("x-ratelimit-bucket").to_owned();
    assert_eq!(bucket.len(), 32);
    for _ in 0..4 {
        assert_eq!(say().await.status, 200);
    }

    double.hand.forward(3_750);
    let refused = say().await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "2"));
    assert_eq!((refused.header("x-ratelimit-scope"), refused.header("x-ratelimit-bucket")), ("user", &*bucket));
    assert_eq!(refused.body["retry_after"], 1.25);
    assert_eq!(refused.body["global"], false);

    double.hand.forward(1_250);
    assert_eq!(say().await.status, 200);
}

#[tokio::test]
async fn the_fifty_first_request_of_a_second_is_refused_everywhere() {
    let double = Harness::with(|config| config.rate_limits = true).await;
    let paths = ["/users/@me".to_owned(), format!("/guilds/{}", double.guild)];
    for turn in 0..50 {
        assert_eq!(double.bot("GET", &paths[turn % 2], None).await.status, 200);
    }
    let refused = double.bot("GET", &format!("/channels/{}", double.channel()), None).await;
    assert_eq!((refused.status, refused.header("x-ratelimit-global")), (429, "true"));
    assert_eq!((refused.header("x-ratelimit-scope"), &refused.body["global"]), ("global", &json!(true)));
    double.hand.forward(1_000);
    assert_eq!(double.bot("GET", &paths[0], None).await.status, 200);
}

#[tokio::test]
async fn ten_thousand_refused_requests_ban_the_address() {
    let double = Harness::with(|config| config.rate_limits = true).await;
    for _ in 0..10_000 {
        // Below the limits of bucket and second, so that each is refused for its token alone.
        double.hand.forward(50);
        let refused = double.raw("GET", "/api/v10/users/@me", &[("authorization", "Bot wrong")], Vec::new()).await;
        assert_eq!(refused.status, 401);
    }
    let banned = double.bot("GET", "/users/@me", None).await;
    assert_eq!((banned.status, banned.header("server")), (429, "cloudflare"));
    assert!(banned.body.is_string() && banned.header("x-ratelimit-limit").is_empty(), "{banned:?}");
    let seconds: i64 = banned.header("retry-after").parse().expect("a number");
    double.hand.forward(seconds * 1_000);
    assert_eq!(double.bot("GET", "/users/@me", None).await.status, 200);
}
