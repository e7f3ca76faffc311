//! The double as a process of its own.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::client::Client;
use super::harness::ALL;
use super::http::call;

#[tokio::test]
async fn it_serves_until_it_is_told_to_end() {
    let mut process = Command::new(env!("CARGO_BIN_EXE_discord-double"))
        .args(["--bind", "127.0.0.1:0", "--seed", "5", "--events-per-second", "50"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
    let (mut token, mut address) = (String::new(), String::new());
    while address.is_empty() {
        let line = lines.next_line().await.expect("readable").expect("not over yet");
        if let Some(value) = line.strip_prefix("bot token  ") {
            value.clone_into(&mut token);
        }
        if let Some(value) = line.strip_prefix("listening  ") {
            value.clone_into(&mut address);
        }
    }
    let (_, traffic) = call("GET", &format!("{address}/_double/traffic"), None).await;
    assert_eq!((&traffic["running"], &traffic["plan"]["seed"]), (&true.into(), &5.into()));

    let gateway = format!("{}/gateway", address.replace("http://", "ws://"));
    let mut client = Client::connect(&gateway, "").await;
    let mut identify = super::client::identify((0, 1), ALL);
    identify["d"]["token"] = token.into();
    client.send(&identify).await;
    client.event("READY").await;

    let pid = process.id().expect("running").to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill runs").success());
    assert_eq!(client.end().await, Some(1001));
    assert!(process.wait().await.expect("ends").success());
}

#[tokio::test]
async fn unknown_arguments_are_refused_with_the_usage() {
    let output = Command::new(env!("CARGO_BIN_EXE_discord-double")).arg("--sed").output().await.expect("runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(told.contains("unknown argument --sed") && told.contains("--seed N"), "{told}");
}
