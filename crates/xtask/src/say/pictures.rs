//! Saves the pictures of an answer.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use base64::Engine as _;
use serde_json::Value;

/// Writes each attachment into `folder` and returns the paths.
pub(super) fn save(answer: &Value, folder: &Path) -> Result<Vec<PathBuf>> {
    let messages = std::iter::once(answer).chain(answer["follow_ups"].as_array().into_iter().flatten());
    let mut saved = Vec::new();
    for attachment in messages.filter_map(|message| message["attachments"].as_array()).flatten() {
        let Some(data) = attachment["base64"].as_str() else { continue };
        let bytes = base64::engine::general_purpose::STANDARD.decode(data).context("a picture is not proper base64")?;
        let path = folder.join(plain_name(attachment["filename"].as_str().unwrap_or("picture.png")));
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        saved.push(path);
    }
    Ok(saved)
}

/// A file name is chosen by the other side: it must not lead out of the folder.
fn plain_name(name: &str) -> String {
    let plain: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
    let plain = plain.trim_start_matches('.');
    if plain.is_empty() { "picture.png".to_owned() } else { plain.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pictures_stay_in_their_folder() {
        let folder = tempfile::tempdir().unwrap();
        let answer =
            json!({"attachments": [{"filename": "../../etc/chart.png", "base64": "aGVsbG8="}, {"filename": "x"}]});
        let saved = save(&answer, &folder.path().join("out")).unwrap();
        assert_eq!(saved, [folder.path().join("out/etcchart.png")]);
        assert_eq!(fs::read(&saved[0]).unwrap(), b"hello");
        assert_eq!(plain_name("..."), "picture.png");
    }
}
