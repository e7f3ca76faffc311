//! The emulator of SQS and DynamoDB. It keeps its queues and tables in memory.

use std::{path::Path, time::Duration};

use anyhow::Result;

use crate::{
    console,
    exec::Program,
    http,
    ports::Ports,
    process::{self, Account, Plan, Running, Stop},
    tools::Tools,
};

pub(super) fn start(tools: &Tools, state: &Path, ports: &mut Ports) -> Result<(Running, String)> {
    let task = console::task("ministack", "starting");
    let port = ports.choose("ministack")?;
    let program = Program::new(&tools.ministack)
        // It binds every address unless told otherwise, and opens ports for services nobody here uses.
        .env("BIND_HOST", "127.0.0.1")
        .env("MINISTACK_HOST", "localhost")
        .env("GATEWAY_PORT", port.to_string())
        .env("SFTP_ENABLED", "0")
        .env("IOT_MTLS_ENABLED", "0")
        // Where deployed functions find AWS: here.
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
        .env("LOG_LEVEL", "WARNING")
        .env("TMPDIR", state)
        .current_dir(state);
    let mut running = process::start(Plan {
        name: "ministack",
        program,
        log: state.join("ministack.log"),
        progress: None,
        pid_file: state.join("ministack.pid"),
        stop: Stop::Terminate,
        account: Account::Own,
    })?;
    let health = format!("http://127.0.0.1:{port}/_ministack/health");
    running.wait_ready(Duration::from_secs(40), || {
        http::get(&health, Duration::from_secs(2)).is_ok_and(|answer| answer.status == 200)
    })?;
    task.done(&format!("ready on 127.0.0.1:{port}"));
    Ok((running, format!("http://127.0.0.1:{port}")))
}
