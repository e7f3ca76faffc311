//! The AWS SAM command line, with Cargo Lambda and Zig beside it, told to talk to the emulator.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{ambient, cache::Cache, checkout::Checkout, exec::Program, tools};

/// How SAM is called, and where it builds.
#[derive(Debug)]
pub(crate) struct Sam {
    program: PathBuf,
    root: PathBuf,
    target: PathBuf,
    build: PathBuf,
    path: String,
}

/// What functions are built for: this machine, whose programs the emulator runs.
pub(crate) fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("x86_64"),
        "aarch64" => Ok("arm64"),
        other => bail!("AWS Lambda has no processors of the kind {other}"),
    }
}

impl Sam {
    pub(crate) fn ready(checkout: &Checkout, cache: &Cache, state: &Path) -> Result<Self> {
        let program = tools::sam_cli(cache)?;
        let cargo_lambda = tools::cargo_lambda(cache)?;
        let path = ambient::variable("PATH").unwrap_or_default();
        Ok(Self {
            program,
            root: checkout.root().to_owned(),
            target: checkout.target(),
            build: state.join("sam"),
            path: format!("{}:{path}", cargo_lambda.display()),
        })
    }

    /// Builds every function for this machine, without optimisation, into the target directory that tests share.
    pub(crate) fn build(&self) -> Result<()> {
        self.program()
            .args(["build", "--template-file", "template.yaml", "--build-dir"])
            .arg(&self.build)
            .args(["--parameter-overrides", &format!("Architecture={}", architecture()?)])
            // Cargo Lambda's word for the profile dev.
            .env("SAM_BUILD_MODE", "debug")
            .env("CARGO_TARGET_DIR", &self.target)
            .output()
            .map(drop)
            .context("the functions could not be built")
    }

    pub(crate) fn deploy(&self, aws: &str, stack: &str, parameters: &[(&str, String)]) -> Result<()> {
        let parameters = parameters.iter().map(|(name, value)| format!("{name}=\"{value}\""));
        self.program()
            .args(["deploy", "--stack-name", stack, "--capabilities", "CAPABILITY_IAM", "--resolve-s3"])
            .args(["--no-confirm-changeset", "--disable-rollback", "--template-file"])
            .arg(self.build.join("template.yaml"))
            .arg("--parameter-overrides")
            .args(parameters)
            .env("AWS_ENDPOINT_URL", aws)
            .output()
            .map(drop)
            .context("the stack could not be deployed")
    }

    /// The stack's outputs, by name.
    pub(crate) fn outputs(&self, aws: &str, stack: &str) -> Result<BTreeMap<String, String>> {
        let text = self
            .program()
            .args(["list", "stack-outputs", "--stack-name", stack, "--output", "json"])
            .env("AWS_ENDPOINT_URL", aws)
            .output()?;
        let outputs: Value = serde_json::from_str(&text).context("the outputs of the stack are not JSON")?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let outputs = outputs.as_array().context("the outputs of the stack are no list")?;
        Ok(outputs.iter().filter_map(|o| Some((text(&o["OutputKey"])?, text(&o["OutputValue"])?))).collect())
    }

    /// What a function answers to an event when it runs in a container, where Docker is found by `docker`.
    pub(crate) fn invoke_locally(
        &self,
        function: &str,
        event: &Path,
        variables: &Path,
        docker: &[(String, String)],
    ) -> Result<Value> {
        let said = self
            .program()
            .args(["local", "invoke", function, "--skip-pull-image", "--template-file"])
            .arg(self.build.join("template.yaml"))
            .args(["--parameter-overrides", &format!("Architecture={}", architecture()?), "--event"])
            .arg(event)
            .arg("--env-vars")
            .arg(variables)
            .envs(docker)
            .output()
            .with_context(|| format!("{function} could not be invoked"))?;
        // Logs may stand before the answer, which is one line.
        let answer = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        serde_json::from_str(answer).with_context(|| format!("{function} answered what is not JSON: {said}"))
    }

    /// The emulator of Lambda's runtime interface that SAM carries.
    pub(crate) fn emulator(&self) -> Result<PathBuf> {
        let environment = self.program.parent().and_then(Path::parent).context("SAM is not where it was installed")?;
        let name = format!("aws-lambda-rie-{}", architecture()?);
        let python = std::fs::read_dir(environment.join("lib"))?.flatten().map(|entry| entry.path());
        python
            .map(|python| python.join("site-packages/samcli/local/rapid").join(&name))
            .find(|path| path.is_file())
            .with_context(|| format!("SAM carries no {name}"))
    }

    /// SAM as every command needs it: no telemetry, no configuration but the repository's, no account.
    pub(crate) fn program(&self) -> Program {
        Program::new(&self.program)
            .current_dir(&self.root)
            .env("PATH", &self.path)
            .env("SAM_CLI_TELEMETRY", "0")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true")
    }

    pub(crate) fn build_folder(&self) -> &Path {
        &self.build
    }
}
