//! Room on the disk that is given back when there is none left.
//!
//! SQLite needs room to forget as well: a deletion goes to the log first. A journal that has filled its disk could never
//! be drained without a little that was kept for this.
//!
//! **Invariant:** the file is room and nothing else: it is never read.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

const FILE: &str = "journal.reserve";
/// The least and the most that is kept. SQLite folds the log into the database from about 4 MiB on.
const LEAST: u64 = 256 * 1_024;
const MOST: u64 = 8 * 1_024 * 1_024;

/// The file that keeps the room.
pub(super) struct Reserve {
    path: PathBuf,
    bytes: u64,
    held: bool,
}

impl Reserve {
    /// The reserve of a journal with this bound; what an earlier process kept is still kept.
    pub(super) fn new(folder: &Path, max_bytes: u64) -> Self {
        let path = folder.join(FILE);
        let bytes = (max_bytes / 16).clamp(LEAST, MOST);
        let held = fs::metadata(&path).is_ok_and(|kept| kept.len() == bytes);
        Self { path, bytes, held }
    }

    /// How much it keeps.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Keeps the room, if the disk has it.
    pub(super) fn hold(&mut self) -> io::Result<()> {
        if self.held {
            return Ok(());
        }
        let kept = self.fill();
        match kept {
            Ok(()) => self.held = true,
            Err(_) => drop(fs::remove_file(&self.path)),
        }
        kept
    }

    fn fill(&self) -> io::Result<()> {
        let mut file = File::create(&self.path)?;
        let block = vec![0; usize::try_from(LEAST).unwrap_or(4_096)];
        let mut left = self.bytes;
        while left > 0 {
            let now = usize::try_from(left).map_or(block.len(), |left| left.min(block.len()));
            file.write_all(&block[..now])?;
            left -= now as u64;
        }
        file.flush()
    }

    /// Gives the room back; `false` when there was none.
    pub(super) fn release(&mut self) -> bool {
        self.held = false;
        fs::remove_file(&self.path).is_ok()
    }
}
