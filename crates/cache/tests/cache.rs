//! The cache against a real server that can be cut off.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use guildhall_cache::{Cache, Limits};
use guildhall_domain::GuildId;
use guildhall_test_kit::services::{REDIS, service};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const MINUTE: Duration = Duration::from_secs(60);

/// Each test has a guild of its own, new on every run: the server is shared and remembers.
fn guild(test: u64) -> GuildId {
    use std::hash::{BuildHasher as _, RandomState};
    GuildId::new((RandomState::new().hash_one(test) >> 8) | test).expect("fits")
}

fn limits() -> Limits {
    Limits { answer: Duration::from_secs(5), pause: Duration::from_millis(20), ..Limits::default() }
}

fn cache() -> Cache {
    Cache::new(&service(REDIS), limits()).expect("an address")
}

/// A way to the server that can be cut.
struct Way {
    port: u16,
    traffic: Option<JoinSet<()>>,
}

impl Way {
    async fn open(port: u16) -> Self {
        let url = service(REDIS);
        let server = url.trim_start_matches("redis://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let mut traffic = JoinSet::new();
        traffic.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let mut far = TcpStream::connect(&server).await.expect("the server is up");
                connections.spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await.ok() });
            }
        });
        Self { port, traffic: Some(traffic) }
    }

    async fn cut(&mut self) {
        self.traffic.take().expect("open").shutdown().await;
    }

    fn cache(&self) -> Cache {
        Cache::new(&format!("redis://127.0.0.1:{}", self.port), limits()).expect("an address")
    }
}

async fn load(cache: &Cache, guild: GuildId, value: &str) -> String {
    cache.get_or_load(guild, "key", MINUTE, async || Ok::<_, Infallible>(value.to_owned())).await.expect("loads")
}

#[tokio::test]
async fn what_was_loaded_is_there_for_everyone_until_it_is_forgotten() {
    let (one, two, guild) = (cache(), cache(), guild(1));
    assert_eq!(load(&one, guild, "first").await, "first");
    assert_eq!(load(&two, guild, "second").await, "first");
    two.forget_guild(guild).await;
    assert_eq!(one.get::<String>(guild, "key").await, None);
    assert_eq!(load(&one, guild, "third").await, "third");
}

#[tokio::test]
async fn forgetting_one_guild_leaves_the_others() {
    let (cache, kept, forgotten) = (cache(), guild(2), guild(3));
    cache.set(kept, "key", &1, MINUTE).await;
    cache.set(forgotten, "key", &1, MINUTE).await;
    cache.forget_guild(forgotten).await;
    assert_eq!(cache.get::<u8>(kept, "key").await, Some(1));
    assert_eq!(cache.get::<u8>(forgotten, "key").await, None);
}

#[tokio::test]
async fn entries_run_out() {
    let (cache, guild) = (cache(), guild(4));
    cache.set(guild, "key", &1, Duration::from_millis(30)).await;
    guildhall_test_kit::until("the entry runs out", MINUTE, || async {
        cache.get::<u8>(guild, "key").await.is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_load_that_began_before_the_guild_was_forgotten_brings_nothing_back() {
    let (cache, guild) = (cache(), guild(5));
    let old = cache
        .get_or_load(guild, "key", MINUTE, async || {
            cache.forget_guild(guild).await;
            Ok::<_, Infallible>("old".to_owned())
        })
        .await
        .expect("loads");
    assert_eq!(old, "old");
    assert_eq!(cache.get::<String>(guild, "key").await, None);
}

#[tokio::test]
async fn callers_that_miss_together_load_once() {
    let (cache, guild, loads) = (cache(), guild(6), AtomicU32::new(0));
    let answers = join_all((0..20).map(|_| {
        cache.get_or_load(guild, "key", MINUTE, async || {
            loads.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(7)
        })
    }))
    .await;
    assert!(answers.into_iter().all(|answer| answer == Ok(7)));
    assert_eq!(loads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_does_not_read_is_loaded_again() {
    let (cache, guild) = (cache(), guild(7));
    cache.set(guild, "key", &"text", MINUTE).await;
    let number = cache.get_or_load(guild, "key", MINUTE, async || Ok::<u32, Infallible>(5)).await;
    assert_eq!(number, Ok(5));
}

#[tokio::test]
async fn an_encrypted_address_is_spoken_to_by_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let cache = Cache::new(&format!("rediss://:password@localhost:{port}"), limits()).expect("an address");
    let mut server = JoinSet::new();
    server.spawn(async move {
        let (mut connection, _) = listener.accept().await.expect("somebody connects");
        let mut record = [0; 6];
        connection.read_exact(&mut record).await.expect("it speaks first");
        record
    });
    cache.warm_up().await;
    let record = server.join_next().await.expect("one").expect("it ran");
    // A handshake record, whose first message is the client's greeting (RFC 8446, 5.1 and 4).
    assert_eq!((record[0], record[1], record[5]), (22, 3, 1));
}

#[tokio::test]
async fn without_a_server_memory_stands_in() {
    let cache = Cache::new("redis://127.0.0.1:1", limits()).expect("an address");
    let guild = guild(8);
    cache.warm_up().await;
    assert!(!cache.is_connected());
    assert_eq!(load(&cache, guild, "first").await, "first");
    assert_eq!(load(&cache, guild, "second").await, "first");
    cache.forget_guild(guild).await;
    assert_eq!(load(&cache, guild, "third").await, "third");
}

#[tokio::test]
async fn a_server_that_comes_back_is_used_again_and_told_what_to_forget() {
    let guild = guild(9);
    let mut way = Way::open(0).await;
    let cache = way.cache();
    assert_eq!(load(&cache, guild, "before").await, "before");

    way.cut().await;
    guildhall_test_kit::until("the loss is noticed", MINUTE, || async {
        let _answer: Option<String> = cache.get(guild, "key").await;
        (!cache.is_connected()).then_some(())
    })
    .await;
    cache.forget_guild(guild).await;

    let way = Way::open(way.port).await;
    guildhall_test_kit::until("the connection is back", MINUTE, || async {
        let _answer: Option<String> = cache.get(guild, "other").await;
        (cache.is_connected()).then_some(())
    })
    .await;
    assert_eq!(cache.get::<String>(guild, "key").await, None, "forgotten while the server was away");
    drop(way);
}

#[test]
fn an_address_that_is_none_is_refused_without_repeating_it() {
    let error = Cache::new("http://:hunter2@host", limits()).expect_err("no redis address");
    assert_eq!(error.to_string(), "not the address of a Redis server");
}
