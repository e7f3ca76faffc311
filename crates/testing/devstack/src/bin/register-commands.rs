//! `register-commands [--guild ID] [--yes]`: shows what would change, and with `--yes` or after a confirmation changes it.

use std::io::{BufRead as _, Write as _};

use anyhow::bail;
use guildhall_devstack::commands::Registration;
use guildhall_domain::GuildId;
use guildhall_runtime::Environment;

struct Arguments {
    guild: Option<GuildId>,
    yes: bool,
}

fn arguments(given: impl Iterator<Item = String>) -> anyhow::Result<Arguments> {
    let mut arguments = Arguments { guild: None, yes: false };
    let mut given = given;
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--yes" => arguments.yes = true,
            "--guild" => match given.next().map(|id| id.parse()) {
                Some(Ok(guild)) => arguments.guild = Some(guild),
                _ => bail!("--guild takes the id of a guild"),
            },
            other => bail!("unknown argument {other}; usage: register-commands [--guild ID] [--yes]"),
        }
    }
    Ok(arguments)
}

fn confirmed() -> anyhow::Result<bool> {
    print!("Apply? [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = arguments(std::env::args().skip(1))?;
    let registration = Registration::compare(&Environment::of_process(), arguments.guild).await?;
    let place = arguments.guild.map_or_else(|| "all guilds".to_owned(), |guild| format!("guild {guild}"));
    if registration.changes.is_empty() {
        println!("The commands of {place} are registered as declared; nothing to do.");
        return Ok(());
    }
    println!("Commands of {place}:");
    for change in &registration.changes {
        println!("  {change}");
    }
    if arguments.yes || confirmed()? {
        registration.apply().await?;
        println!("Registered.");
    } else {
        println!("Nothing was changed.");
    }
    Ok(())
}
