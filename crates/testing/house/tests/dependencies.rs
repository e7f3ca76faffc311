//! Which crate may be built with which: the boundaries that the compiler then holds.

use guildhall_house::{repository, workspace};

/// For each crate the crates of the workspace that it may be built with. A crate exists to forbid a dependency: whoever
/// adds an edge here gives up what the lack of it promised.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("wire", &["domain"]),
    ("queue", &[]),
    ("cache", &["domain"]),
    ("discord", &["domain"]),
    ("store", &["domain", "wire"]),
    ("runtime", &["domain"]),
    ("app", &["domain", "cache", "discord", "queue", "store"]),
    ("interactions", &["app", "domain", "runtime"]),
    ("worker", &["app", "domain", "runtime"]),
    ("stats-ingest", &["domain", "runtime", "store", "wire"]),
    ("stats-rollup", &["domain", "runtime", "store"]),
    ("migrate", &["domain", "runtime", "store"]),
    ("gateway-runner", &["domain", "queue", "runtime", "wire"]),
    ("discord-double", &["domain"]),
    ("fuzz", &["app", "domain", "gateway-runner", "wire"]),
    ("test-kit", &[]),
    ("house", &[]),
    (
        "devstack",
        &[
            "app",
            "cache",
            "discord",
            "discord-double",
            "domain",
            "interactions",
            "migrate",
            "queue",
            "runtime",
            "stats-ingest",
            "stats-rollup",
            "store",
            "test-kit",
            "wire",
            "worker",
        ],
    ),
    // Breaks the whole in every way, and compares the books.
    ("chaos", &["app", "devstack", "discord-double", "domain", "runtime", "store", "test-kit", "wire"]),
    // Measures each part beside its peers.
    (
        "bench",
        &[
            "devstack",
            "discord",
            "discord-double",
            "domain",
            "gateway-runner",
            "queue",
            "runtime",
            "stats-ingest",
            "store",
            "test-kit",
            "wire",
        ],
    ),
    // The least programs, built with nothing that is measured.
    ("bench-limits", &[]),
    // What a fresh clone compiles first: it starts the others, and is built with none of them.
    ("xtask", &[]),
];

/// What only tests may be built with, beside a crate's own edges.
const FOR_TESTS: &[&str] = &["bench", "devstack", "discord-double", "house", "queue", "store", "test-kit", "wire"];

/// External crates that stay behind one door.
const BEHIND_ONE_DOOR: &[(&str, &[&str])] = &[
    ("sqlx", &["store", "test-kit", "bench"]),
    ("twilight-gateway", &["gateway-runner", "bench"]),
    ("aws-sdk-dynamodb", &["gateway-runner", "devstack"]),
    ("aws-sdk-sqs", &["queue", "devstack"]),
    ("redis", &["cache", "bench"]),
    ("rusqlite", &["gateway-runner"]),
    // The runner asks for `/gateway/bot` and nothing else.
    ("twilight-http", &["discord", "gateway-runner"]),
    ("ed25519-dalek", &["discord", "discord-double", "devstack", "bench", "bench-limits"]),
    // Functions speak the runtime API themselves; this is what they are compared with.
    ("lambda_runtime", &["bench-limits"]),
];

fn short(name: &str) -> &str {
    name.strip_prefix("guildhall-").unwrap_or(name)
}

#[test]
fn crates_depend_on_what_the_map_allows() {
    let packages = workspace::packages(&repository::root()).expect("cargo metadata");
    let mut offences = Vec::new();
    for (name, package) in &packages {
        let Some((_, allowed)) = MAY_DEPEND_ON.iter().find(|(crate_name, _)| *crate_name == short(name)) else {
            offences.push(format!("{name} is not on the map"));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|d| packages.contains_key(*d)) {
            if !allowed.contains(&short(dependency)) {
                offences.push(format!("{name} → {dependency}"));
            }
        }
        for dependency in package.dev_dependencies.iter().filter(|d| packages.contains_key(*d)) {
            if !allowed.contains(&short(dependency)) && !FOR_TESTS.contains(&short(dependency)) {
                offences.push(format!("{name} → {dependency} (for tests)"));
            }
        }
    }
    assert!(offences.is_empty(), "edges that the map does not have:\n{}", offences.join("\n"));
}

/// So that the map only ever grows on purpose, and shrinks by itself.
#[test]
fn the_map_has_nothing_that_is_not_used() {
    let packages = workspace::packages(&repository::root()).expect("cargo metadata");
    let package = |name: &str| packages.iter().find(|(known, _)| short(known) == name).map(|(_, package)| package);
    let built_with = |name: &str, dependency: &str| {
        package(name).is_some_and(|package| package.dependencies.iter().any(|known| short(known) == dependency))
    };
    let mut unused = Vec::new();
    for (name, allowed) in MAY_DEPEND_ON {
        if package(name).is_none() {
            unused.push((*name).to_owned());
        }
        unused.extend(allowed.iter().filter(|d| !built_with(name, d)).map(|d| format!("{name} → {d}")));
    }
    for dependency in FOR_TESTS {
        let needs_the_permission = packages.iter().any(|(name, package)| {
            package.dev_dependencies.iter().any(|known| short(known) == *dependency)
                && !built_with(short(name), dependency)
        });
        if !needs_the_permission {
            unused.push(format!("tests → {dependency}"));
        }
    }
    for (external, doors) in BEHIND_ONE_DOOR {
        unused
            .extend(doors.iter().filter(|door| !built_with(door, external)).map(|door| format!("{door} → {external}")));
    }
    assert!(unused.is_empty(), "the map has what is not there:\n{}", unused.join("\n"));
}

#[test]
fn only_the_testing_crates_reach_the_testing_crates() {
    let packages = workspace::packages(&repository::root()).expect("cargo metadata");
    for (name, package) in &packages {
        let ships = !package.folder.starts_with("crates/testing/") && package.folder != "crates/xtask";
        let reached = package
            .dependencies
            .iter()
            .filter_map(|d| packages.get(d))
            .find(|p| p.folder.starts_with("crates/testing/"));
        assert!(!ships || reached.is_none(), "{name} ships, and is built with {}", reached.map_or("", |p| &p.folder));
    }
}

#[test]
fn external_crates_stay_behind_their_door() {
    let packages = workspace::packages(&repository::root()).expect("cargo metadata");
    for (external, doors) in BEHIND_ONE_DOOR {
        for (name, package) in &packages {
            if package.dependencies.contains(*external) {
                assert!(doors.contains(&short(name)), "{name} uses {external}, which belongs to {doors:?}");
            }
        }
    }
}
