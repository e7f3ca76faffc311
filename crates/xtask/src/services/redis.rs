//! A private Redis (or Valkey): a cache, so nothing of it is kept on disk.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    path::Path,
    time::Duration,
};

use anyhow::Result;

use crate::{
    console,
    exec::Program,
    ports::Ports,
    process::{self, Account, Plan, Running, Stop},
    tools::Tools,
};

pub(super) fn start(tools: &Tools, state: &Path, ports: &mut Ports) -> Result<(Running, String)> {
    let task = console::task("redis", "starting");
    let port = ports.choose("redis")?;
    let program = Program::new(&tools.redis)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--protected-mode", "yes"])
        .args(["--save", "", "--appendonly", "no", "--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru"])
        .arg("--dir")
        .arg(state);
    let mut running = process::start(Plan {
        name: "redis",
        program,
        log: state.join("redis.log"),
        progress: None,
        pid_file: state.join("redis.pid"),
        stop: Stop::Terminate,
        account: Account::Own,
    })?;
    running.wait_ready(Duration::from_secs(20), || answers(port))?;
    task.done(&format!("ready on 127.0.0.1:{port}"));
    Ok((running, format!("redis://127.0.0.1:{port}")))
}

fn answers(port: u16) -> bool {
    let ping = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer)?;
        Ok(&answer == b"+PONG\r\n")
    };
    ping().unwrap_or(false)
}
