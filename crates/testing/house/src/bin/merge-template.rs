//! Writes `template.yaml` from the fragments under `infra/`.

use guildhall_house::{fragments, repository};

fn main() -> anyhow::Result<()> {
    let changed = fragments::write(&repository::root())?;
    println!("{}", if changed { "template.yaml written" } else { "template.yaml is up to date" });
    Ok(())
}
