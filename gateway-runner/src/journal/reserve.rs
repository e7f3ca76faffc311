//! Room on the disk that is given back when there is none left.
//!
//! SQLite needs room to forget as well: a deletion goes to the log first. A journal that has filled its disk could never
//! be drained without a little that was kept for this.
//!
//! **Invariant:** the file is room and nothing else: it is never read.
//! **Invariant:** it is not begun where the file system says that it does not fit: a disk that is nearly full is not filled by
//! trying.

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
        self.hold_of(free, self.available()?)
    }

    /// As [`Reserve::hold`], on a file system with so much room.
    pub(super) fn hold_of(&mut self, free: u64, available: u64) -> io::Result<()> {
        let least = self.bytes.saturating_sub(free);
        if self.held >= self.bytes {
            return Ok(());
        }
        self.fill(self.bytes, available).or_else(|_| self.fill(least, available))
    }

    /// What the file system gives to who is not privileged.
    fn available(&self) -> io::Result<u64> {
        let folder = self.path.parent().unwrap_or(&self.path);
        let room = rustix::fs::statvfs(folder)?;
        Ok(room.f_bavail.saturating_mul(room.f_frsize))
    }

    fn fill(&mut self, bytes: u64, available: u64) -> io::Result<()> {
        if self.held >= bytes {
            return Ok(());
        }
        // A quota, or a limit of the process, shows only when it is tried.
        if available < bytes.saturating_sub(self.held) {
            return Err(io::ErrorKind::StorageFull.into());
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
