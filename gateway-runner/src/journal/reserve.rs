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
    /// How much it is meant to keep.
    bytes: u64,
    /// How much it keeps.
    held: u64,
}

impl Reserve {
    /// The reserve of a journal with this bound; what an earlier process kept is still kept.
    pub(super) fn new(folder: &Path, max_bytes: u64) -> Self {
        let path = folder.join(FILE);
        let bytes = (max_bytes / 16).clamp(LEAST, MOST);
        let held = fs::metadata(&path).map_or(0, |kept| kept.len());
        Self { path, bytes, held }
    }

    /// Keeps the room, if the disk has it, less what the database has in pages of its own that are `free`.
    pub(super) fn hold(&mut self, free: u64) -> io::Result<()> {
        if self.held >= self.bytes {
            return Ok(());
        }
        self.fill(self.bytes).or_else(|_| self.fill(self.bytes.saturating_sub(free)))
    }

    fn fill(&mut self, bytes: u64) -> io::Result<()> {
        if self.held >= bytes {
            return Ok(());
        }
        let filled = File::create(&self.path).and_then(|mut file| {
            let block = vec![0; 64 * 1_024];
            let mut left = bytes;
            while left > 0 {
                let now = usize::try_from(left).map_or(block.len(), |left| left.min(block.len()));
                file.write_all(&block[..now])?;
                left -= now as u64;
            }
            file.flush()
        });
        self.held = bytes;
        if filled.is_err() {
            self.release();
        }
        filled
    }

    /// Gives the room back; `false` when there was none.
    pub(super) fn release(&mut self) -> bool {
        self.held = 0;
        fs::remove_file(&self.path).is_ok()
    }
}
