//! The image functions run in, made of this machine: the libraries their programs name, the certificates of authorities, a
//! shell for SAM's own build step, and the emulator of Lambda's runtime interface that SAM carries.
//!
//! SAM takes an image by its name only, so this one has the name of AWS's own for as long as the command runs.
//!
//! **Invariant:** afterwards each name stands for what it stood for before; after a command that was killed, from the next
//! one on.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::docker::Docker;
use crate::{console, deploy, exec::Program, tools};

/// Where the runtime's image has its names.
const REPOSITORY: &str = "public.ecr.aws/lambda/provided";
/// Where what had such a name before is kept meanwhile.
const KEPT: &str = "guildhall/sam-local-kept";
/// A variable of the image made here, and of what SAM makes of it, by which both are known.
const MARK: &str = "GUILDHALL_SAM_LOCAL=1";

const ENTRYPOINT: &str = "#!/bin/sh
[ -n \"$AWS_LAMBDA_RUNTIME_API\" ] && exec /var/runtime/bootstrap \"$@\"
exec /usr/local/bin/aws-lambda-rie /var/task/bootstrap \"$@\"
";

/// The names of the runtime's image, borrowed until this goes.
#[derive(Debug)]
pub(super) struct Image<'a> {
    docker: &'a Docker,
    /// By which SAM looks for the runtime's image.
    looked_for: [String; 2],
    /// Under which it keeps what it makes of that, and finds it the next time.
    made: String,
}

impl<'a> Image<'a> {
    fn borrow(docker: &'a Docker) -> Result<Self> {
        let architecture = deploy::architecture()?;
        let image = Self {
            docker,
            looked_for: ["al2023".to_owned(), format!("al2023-{architecture}")],
            made: format!("al2023-rapid-{architecture}"),
        };
        for tag in image.tags() {
            let (name, kept) = (format!("{REPOSITORY}:{tag}"), format!("{KEPT}:{tag}"));
            let inspect = ["image", "inspect", "--format", "{{.Config.Env}}", &name];
            let Ok(environment) = docker.program().args(inspect).output() else { continue };
            // Ours is from a command that was killed; what that one kept still is.
            if !environment.contains(MARK) {
                docker.program().args(["tag", &name, &kept]).output()?;
            }
            docker.program().args(["rmi", "--force", &name]).output()?;
        }
        Ok(image)
    }

    fn tags(&self) -> impl Iterator<Item = &String> {
        self.looked_for.iter().chain([&self.made])
    }
}

impl Drop for Image<'_> {
    fn drop(&mut self) {
        for tag in self.tags() {
            let (name, kept) = (format!("{REPOSITORY}:{tag}"), format!("{KEPT}:{tag}"));
            // Each may be missing: SAM made none, or nothing had the name before.
            let _removed = self.docker.program().args(["rmi", "--force", &name]).succeeds();
            if self.docker.program().args(["tag", &kept, &name]).succeeds() {
                let _given_back = self.docker.program().args(["rmi", &kept]).succeeds();
            }
        }
    }
}

pub(super) fn import<'a>(docker: &'a Docker, emulator: &Path, state: &Path, programs: &[PathBuf]) -> Result<Image<'a>> {
    let task = console::task("image", "making the image of the runtime");
    let root = state.join("image");
    if root.exists() {
        fs::remove_dir_all(&root).context("cannot remove the image of the last time")?;
    }
    for library in libraries(programs)? {
        place(&library, &root)?;
    }
    let shell = tools::static_shell()?;
    copy(&shell, &root.join("bin/busybox"))?;
    for name in ["sh", "chmod", "mkdir", "mv", "ls", "cat"] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).context("cannot make the shell's names")?;
    }
    let certificates = Path::new("/etc/ssl/certs/ca-certificates.crt");
    place(certificates, &root)?;
    copy(certificates, &root.join("etc/pki/tls/certs/ca-bundle.crt"))?;
    copy(emulator, &root.join("usr/local/bin/aws-lambda-rie"))?;
    for folder in ["tmp", "var/task", "var/runtime", "var/rapid", "opt"] {
        fs::create_dir_all(root.join(folder)).context("cannot make the folders of the image")?;
    }
    let entrypoint = root.join("lambda-entrypoint.sh");
    fs::write(&entrypoint, ENTRYPOINT).context("cannot write the entry point")?;
    Program::new("chmod").arg("755").arg(&entrypoint).output()?;

    let archive = state.join("image.tar");
    Program::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg(".").output()?;
    let image = Image::borrow(docker)?;
    for tag in &image.looked_for {
        docker
            .program()
            .args(["import", "--change", "ENTRYPOINT [\"/lambda-entrypoint.sh\"]"])
            .args(["--change", &format!("ENV {MARK}")])
            .arg(&archive)
            .arg(format!("{REPOSITORY}:{tag}"))
            .output()?;
    }
    task.done("made");
    Ok(image)
}

/// What the dynamic linker loads for these programs, itself included.
fn libraries(programs: &[PathBuf]) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for program in programs {
        let listed = Program::new("ldd").arg(program).output()?;
        found.extend(listed.lines().filter_map(library_of).map(PathBuf::from));
    }
    Ok(found)
}

/// `libc.so.6 => /lib/libc.so.6 (0x7f…)` or `/lib64/ld-linux-x86-64.so.2 (0x7f…)`.
fn library_of(line: &str) -> Option<&str> {
    let path = line.split_once("=>").map_or(line, |(_, path)| path).trim();
    path.split(' ').next().filter(|path| path.starts_with('/'))
}

/// The file under the same path below `root`.
fn place(file: &Path, root: &Path) -> Result<()> {
    copy(file, &root.join(file.strip_prefix("/").unwrap_or(file)))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::copy(from, to).map(drop).with_context(|| format!("cannot copy {}", from.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_ldd_are_read() {
        assert_eq!(
            library_of("\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f)"),
            Some("/lib/x86_64-linux-gnu/libm.so.6")
        );
        assert_eq!(library_of("\t/lib64/ld-linux-x86-64.so.2 (0x00007f)"), Some("/lib64/ld-linux-x86-64.so.2"));
        assert_eq!(library_of("\tlinux-vdso.so.1 (0x00007ffc)"), None);
    }
}
