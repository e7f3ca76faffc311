//! libfaketime, which lets one process believe in another time.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::apt;

/// The variable that tells tests where the library is.
pub(crate) const FAKETIME: &str = "GUILDHALL_FAKETIME";

/// The library's path; installs it where it is missing.
pub(crate) fn faketime() -> Result<PathBuf> {
    if let Some(found) = find() {
        return Ok(found);
    }
    apt::install("libfaketime", &["libfaketime"], "libfaketime (a test gives two processes different clocks)")?;
    match find() {
        Some(found) => Ok(found),
        None => bail!("libfaketime was installed, but libfaketimeMT.so.1 is not where distributions keep it"),
    }
}

fn find() -> Option<PathBuf> {
    let architectures = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    architectures
        .chain([Path::new("/usr/lib").to_owned(), Path::new("/usr/lib64").to_owned()])
        .map(|folder| folder.join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.is_file())
}
