//! Docker: the one that answers already, or one of this command's own.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    console,
    exec::{self, Program},
    process::{self, Account, Plan, Running, Stop},
    tools,
};

#[derive(Debug)]
pub(super) struct Docker {
    client: PathBuf,
    /// Where it listens, when it is this command's own; it ends with it.
    own: Option<(String, Running)>,
}

impl Docker {
    pub(super) fn ready(state: &Path, install: bool) -> Result<Self> {
        if let Some(client) = exec::find("docker")
            && Program::new(&client).arg("info").succeeds()
        {
            console::note("docker", "the one that runs here is used");
            return Ok(Self { client, own: None });
        }
        if exec::find("dockerd").is_none() {
            if !install {
                bail!(
                    "there is no Docker here\n  `cargo xtask sam-local --install-docker` installs it on Debian, and starts it only while this command runs"
                );
            }
            tools::docker()?;
        }
        let daemon = exec::find("dockerd").context("dockerd was installed but is not on PATH")?;
        let client = exec::find("docker").context("docker was installed but is not on PATH")?;
        if !process::is_root() {
            bail!(
                "Docker does not run, and starting it takes root\n  start it (systemctl start docker), or run this command as root"
            );
        }
        let task = console::task("docker", "starting");
        let address = format!("unix://{}", state.join("docker.sock").display());
        let mut running = process::start(Plan {
            name: "docker",
            program: Program::new(daemon)
                .arg("--data-root")
                .arg(state.join("docker"))
                .arg("--exec-root")
                .arg(state.join("docker-run"))
                .arg("--pidfile")
                .arg(state.join("dockerd.number"))
                .args(["-H", &address]),
            log: state.join("docker.log"),
            progress: None,
            pid_file: state.join("docker.pid"),
            stop: Stop::Terminate,
            account: Account::Own,
        })?;
        running
            .wait_ready(Duration::from_secs(60), || Program::new(&client).args(["-H", &address, "info"]).succeeds())?;
        task.done("ready on a socket of its own");
        Ok(Self { client, own: Some((address, running)) })
    }

    /// What other programs need to find it.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        self.own.iter().map(|(address, _)| ("DOCKER_HOST".to_owned(), address.clone())).collect()
    }

    pub(super) fn program(&self) -> Program {
        Program::new(&self.client).envs(&self.environment())
    }

    /// This machine's address on the network of the containers.
    pub(super) fn gateway(&self) -> Result<Ipv4Addr> {
        let format = "{{(index .IPAM.Config 0).Gateway}}";
        let said = self.program().args(["network", "inspect", "bridge", "--format", format]).output()?;
        said.trim().parse().with_context(|| format!("Docker's bridge has no address: {said}"))
    }
}
