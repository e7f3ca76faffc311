//! The image functions run in, made of this machine: the libraries their programs name, the certificates of authorities, a
//! shell for SAM's own build step, and the emulator of Lambda's runtime interface that SAM carries.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::docker::Docker;
use crate::{console, exec::Program, tools};

/// The names by which SAM looks for the runtime's image.
const NAMES: [&str; 2] = ["public.ecr.aws/lambda/provided:al2023", "public.ecr.aws/lambda/provided:al2023-x86_64"];

const ENTRYPOINT: &str = "#!/bin/sh
[ -n \"$AWS_LAMBDA_RUNTIME_API\" ] && exec /var/runtime/bootstrap \"$@\"
exec /usr/local/bin/aws-lambda-rie /var/task/bootstrap \"$@\"
";

pub(super) fn import(docker: &Docker, emulator: &Path, state: &Path, programs: &[PathBuf]) -> Result<()> {
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
    for name in NAMES {
        docker
            .program()
            .args(["import", "--change", "ENTRYPOINT [\"/lambda-entrypoint.sh\"]"])
            .arg(&archive)
            .arg(name)
            .output()?;
    }
    task.done("made");
    Ok(())
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
