//! Which glibc a program needs. The runtime `provided.al2023` has 2.34 (Amazon Linux 2023); this machine may have a newer
//! one, with which a program would start here and not there.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

use crate::console;

type Version = (u32, u32);

/// Amazon Linux 2023.
const THERE: Version = (2, 34);

/// The newest version of glibc whose symbols the program was linked with.
pub(super) fn newest(program: &Path) -> Result<Version> {
    let bytes = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    newest_in(&bytes).with_context(|| format!("{} names no version of glibc", program.display()))
}

pub(super) fn check(function: &str, newest: Version) -> Result<()> {
    let (major, minor) = newest;
    if newest > THERE {
        bail!("{function} needs glibc {major}.{minor}, and Amazon Linux 2023 has 2.34");
    }
    console::note("glibc", &format!("{function} needs {major}.{minor}; Amazon Linux 2023 has 2.34"));
    Ok(())
}

/// Versions are names in the table of strings: `GLIBC_2.17`, ended by a zero.
fn newest_in(bytes: &[u8]) -> Option<Version> {
    const MARK: &[u8] = b"GLIBC_";
    let starts = bytes.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK);
    let versions = starts.filter_map(|(at, _)| {
        let rest = &bytes[at + MARK.len()..];
        let end = rest.iter().take(16).position(|byte| *byte == 0)?;
        let (major, minor) = std::str::from_utf8(&rest[..end]).ok()?.split_once('.')?;
        let minor = minor.split('.').next()?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    });
    versions.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_found_among_other_strings() {
        let bytes = b"..GLIBC_2.9\0GLIBC_2.34\0GLIBC_2.2.5\0GLIBC_PRIVATE\0see GLIBC_9.9 elsewhere, at length\0";
        assert_eq!(newest_in(bytes), Some((2, 34)));
        assert_eq!(newest_in(b"nothing of it"), None);
    }

    #[test]
    fn what_amazon_linux_lacks_is_refused() {
        assert!(check("worker", (2, 34)).is_ok());
        assert!(check("worker", (2, 36)).unwrap_err().to_string().contains("2.36"));
    }
}
