//! What the proxy does to a connection, against a server that answers.

use super::*;

/// A server that sends back what it gets.
async fn echo() -> (SocketAddr, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let server = async move {
        let mut connections = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            connections.spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    };
    (address, AbortOnDropHandle::new(tokio::runtime::Handle::current().spawn(server)))
}

type Seen = Arc<Mutex<Vec<(Flow, Vec<u8>)>>>;

async fn says(stream: &mut TcpStream, text: &str) -> std::io::Result<String> {
    stream.write_all(text.as_bytes()).await?;
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn it_passes_cuts_and_passes_again() {
    let (upstream, _server) = echo().await;
    let proxy = Proxy::start(upstream.to_string()).await.expect("starts");
    let mut stream = TcpStream::connect(proxy.address()).await.expect("connects");
    assert_eq!(says(&mut stream, "hello").await.expect("passed"), "hello");
    proxy.set(Mode::Cut);
    assert!(says(&mut stream, "lost").await.is_err());
    let mut refused = TcpStream::connect(proxy.address()).await.expect("accepted, and then reset");
    assert!(says(&mut refused, "lost").await.is_err());
    proxy.set(Mode::Pass);
    let mut stream = TcpStream::connect(proxy.address()).await.expect("connects");
    assert_eq!(says(&mut stream, "again").await.expect("passed"), "again");
}

#[tokio::test]
async fn a_hole_keeps_what_goes_in_until_it_is_closed() {
    let (upstream, _server) = echo().await;
    let proxy = Proxy::start(upstream.to_string()).await.expect("starts");
    let mut stream = TcpStream::connect(proxy.address()).await.expect("connects");
    proxy.set(Mode::Hole);
    stream.write_all(b"late").await.expect("taken");
    let mut answer = [0; 4];
    let waited = tokio::time::timeout(Duration::from_millis(50), stream.read_exact(&mut answer)).await;
    assert!(waited.is_err(), "nothing comes through");
    proxy.set(Mode::Pass);
    stream.read_exact(&mut answer).await.expect("passed");
    assert_eq!(&answer, b"late");
}

#[tokio::test]
async fn a_tap_sees_both_ways_and_holds_what_it_wants() {
    let (upstream, _server) = echo().await;
    let proxy = Proxy::start(upstream.to_string()).await.expect("starts");
    let seen = Seen::default();
    let notes = Arc::clone(&seen);
    proxy.tap(Some(Arc::new(move |chunk| {
        notes.lock().expect("unpoisoned").push((chunk.flow, chunk.bytes.to_vec()));
        if chunk.flow == Flow::ToClient && chunk.bytes == b"kept" { Act::Hold } else { Act::Pass }
    })));
    let mut stream = TcpStream::connect(proxy.address()).await.expect("connects");
    assert_eq!(says(&mut stream, "pass").await.expect("passed"), "pass");
    stream.write_all(b"kept").await.expect("taken");
    guildhall_test_kit::until("the answer to be held", Duration::from_secs(10), || async {
        (seen.lock().expect("unpoisoned").len() == 4).then_some(())
    })
    .await;
    proxy.reset();
    assert!(stream.read_exact(&mut [0; 1]).await.is_err(), "reset with the answer");
    assert_eq!(seen.lock().expect("unpoisoned")[0], (Flow::ToServer, b"pass".to_vec()));
}

#[tokio::test]
async fn what_a_tap_keeps_goes_on_without_it() {
    let (upstream, _server) = echo().await;
    let proxy = Proxy::start(upstream.to_string()).await.expect("starts");
    let (kept, mut count) = watch::channel(0);
    proxy.tap(Some(Arc::new(move |chunk| {
        if chunk.flow == Flow::ToServer {
            return Act::Pass;
        }
        kept.send_modify(|count| *count += 1);
        Act::Keep
    })));
    let mut stream = TcpStream::connect(proxy.address()).await.expect("connects");
    stream.write_all(b"kept").await.expect("taken");
    count.wait_for(|count| *count == 1).await.expect("the answer is kept");
    let mut answer = [0; 4];
    let nothing = stream.try_read(&mut answer).expect_err("nothing arrives");
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    proxy.tap(None);
    stream.read_exact(&mut answer).await.expect("passed");
    assert_eq!(&answer, b"kept");
}

#[tokio::test]
async fn connections_are_reset_after_so_many_bytes() {
    let (upstream, _server) = echo().await;
    let proxy = Proxy::start(upstream.to_string()).await.expect("starts");
    proxy.set(Mode::ResetAfter(8));
    let mut stream = TcpStream::connect(proxy.address()).await.expect("connects");
    assert_eq!(says(&mut stream, "12345678").await.expect("passed"), "12345678");
    assert!(says(&mut stream, "9").await.is_err());
    assert_eq!(proxy.befallen(), 1);
}

#[tokio::test]
async fn requests_are_answered_in_the_servers_place() {
    let (upstream, _server) = echo().await;
    let proxy = Proxy::start(upstream.to_string()).await.expect("starts");
    proxy.set(Mode::Answer(Canned::SQS_UNAVAILABLE));
    let mut stream = TcpStream::connect(proxy.address()).await.expect("connects");
    for _ in 0..2 {
        stream.write_all(b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody").await.expect("taken");
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.expect("answered");
        assert_eq!(&head, b"HTTP/1.1 503");
        let rest = Canned::SQS_UNAVAILABLE.text().len() - head.len();
        stream.read_exact(&mut vec![0; rest]).await.expect("whole");
    }
}
