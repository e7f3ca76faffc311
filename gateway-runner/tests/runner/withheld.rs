//! A way to AWS on which requests that say a certain word get no further, or answers to them get lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use guildhall_test_kit::services;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::support::Aws;

/// The way.
pub(crate) struct Withheld {
    address: String,
    /// How many requests said the word; nothing when it may be said.
    state: Arc<watch::Sender<Option<u64>>>,
    task: JoinHandle<()>,
}

impl Withheld {
    /// Holds back the requests that say the word.
    pub(crate) async fn start(word: &'static str) -> Self {
        Self::of(word, false).await
    }

    /// Loses the answers to the first request that says the word and to the third: to two that are each repeated.
    pub(crate) async fn losing_answers(word: &'static str) -> Self {
        Self::of(word, true).await
    }

    #[expect(clippy::disallowed_methods, reason = "the test ends the task itself, when it drops this")]
    async fn of(word: &'static str, loses: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("bound"));
        let state = Arc::new(watch::Sender::new(Some(0)));
        let upstream = services::service(services::AWS).trim_start_matches("http://").trim_end_matches('/').to_owned();
        let shared = state.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (upstream, state) = (upstream.clone(), shared.clone());
                connections.spawn(async move { carry(client, &upstream, word.as_bytes(), loses, &state).await });
            }
        });
        Self { address, state, task }
    }

    /// The same resources, reached this way.
    pub(crate) fn before(&self, aws: &Aws) -> Aws {
        Aws {
            config: aws.config.to_builder().endpoint_url(&self.address).build(),
            sqs: aws.sqs.clone(),
            dynamo: aws.dynamo.clone(),
            name: aws.name.clone(),
        }
    }

    /// How many requests are held back, or were given up.
    pub(crate) fn count(&self) -> u64 {
        self.state.borrow().unwrap_or(0)
    }

    /// Lets everything through from now on.
    pub(crate) fn release(&self) {
        self.state.send_replace(None);
    }
}

impl Drop for Withheld {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(client: TcpStream, upstream: &str, word: &[u8], loses: bool, state: &watch::Sender<Option<u64>>) {
    let Ok(upstream) = TcpStream::connect(upstream).await else { return };
    let ((mut from, mut back), (mut answers, mut to)) = (client.into_split(), upstream.into_split());
    let lost = AtomicBool::new(false);
    let requests = async {
        let mut chunk = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from.read(&mut chunk).await {
            if chunk[..read].windows(word.len()).any(|window| window == word) {
                let mut loses_this = false;
                state.send_modify(|state| {
                    loses_this = loses && matches!(*state, Some(0 | 2));
                    *state = state.map(|count| count + 1);
                });
                if !loses {
                    let _closed = state.subscribe().wait_for(Option::is_none).await.is_err();
                }
                lost.store(loses_this, Ordering::Relaxed);
            }
            if to.write_all(&chunk[..read]).await.is_err() {
                return;
            }
        }
    };
    let answers = async {
        let mut chunk = vec![0; 64 << 10];
        while let Ok(read @ 1..) = answers.read(&mut chunk).await {
            if lost.load(Ordering::Relaxed) || back.write_all(&chunk[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = requests => {}
        () = answers => {}
    }
}
