//! The limit: the same bytes, written and waited for.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::Result;

use super::{GROUP, answer};
use crate::{Sample, Stopwatch};

pub(super) fn round(folder: &Path, bodies: &[String]) -> Result<Sample> {
    let path = folder.join("raw");
    let mut file = File::create(&path)?;
    let mut bytes = 0;
    let mut group = Vec::new();
    let watch = Stopwatch::start();
    for some in bodies.chunks(GROUP) {
        group.clear();
        some.iter().for_each(|body| group.extend_from_slice(body.as_bytes()));
        file.write_all(&group)?;
        file.sync_data()?;
        bytes += group.len();
    }
    let sample = watch.sample(bodies.len() as u64);
    std::fs::remove_file(path)?;
    Ok(sample.answering(answer(bodies.len(), bytes)))
}
