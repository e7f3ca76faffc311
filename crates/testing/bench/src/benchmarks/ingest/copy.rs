//! The limit: psql's `\copy` of a file in PostgreSQL's binary format ("COPY", section "Binary Format").

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::Setup;
use crate::traffic::Row;

const DONE: &str = "bench: copied";
/// Microseconds from PostgreSQL's epoch to an instant's own.
const EPOCH_MILLIS: i64 = 946_684_800_000;

/// A session of psql.
pub(super) struct Psql {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Psql {
    pub(super) fn start(setup: &Setup, url: &str) -> Result<Self> {
        let program = setup.postgres_program("psql");
        let mut child = Command::new(&program)
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let (Some(commands), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("psql has no standard input and output");
        };
        Ok(Self { child, commands, answers: BufReader::new(answers) })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Copies a file, in a transaction of its own.
    pub(super) fn copy(&mut self, file: &Path) -> Result<()> {
        let columns = "ts, guild_id, channel_id, user_id, target_id, source_id, seq, idx, shard_id, kind";
        writeln!(self.commands, "\\copy events ({columns}) from '{}' with (format binary)", file.display())?;
        writeln!(self.commands, "\\echo {DONE}")?;
        self.commands.flush()?;
        let mut line = String::new();
        while line.trim() != DONE {
            line.clear();
            if self.answers.read_line(&mut line)? == 0 {
                bail!("psql ended; it has said why above");
            }
        }
        Ok(())
    }
}

impl Drop for Psql {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A file for each transaction.
pub(super) fn files(setup: &Setup, transactions: &[Vec<Row>], name: &str) -> Result<Vec<PathBuf>> {
    let write = |(number, rows): (usize, &Vec<Row>)| {
        let path = setup.scratch().join(format!("copy-{name}-{number}"));
        std::fs::write(&path, binary(rows)).context("the rows cannot be written")?;
        Ok(path)
    };
    transactions.iter().enumerate().map(write).collect()
}

fn binary(rows: &[Row]) -> Vec<u8> {
    let mut out = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for row in rows {
        out.extend_from_slice(&10_i16.to_be_bytes());
        let micros = (row.at.as_millis() - EPOCH_MILLIS) * 1_000;
        let long = [Some(micros), Some(row.guild), row.channel, row.user, row.target, Some(1), Some(row.seq)];
        for value in long {
            match value {
                Some(value) => field(&mut out, &value.to_be_bytes()),
                None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
            }
        }
        field(&mut out, &row.idx.to_be_bytes());
        field(&mut out, &row.shard.to_be_bytes());
        field(&mut out, &row.kind.to_be_bytes());
    }
    out.extend_from_slice(&(-1_i16).to_be_bytes());
    out
}

fn field(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&i32::try_from(bytes.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(bytes);
}
