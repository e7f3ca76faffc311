//! What docs/operations.md says can be configured, and what the template lets an operator configure.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use guildhall_house::cloudformation::{Template, container_variables, walk};
use guildhall_house::repository;
use serde_json::Value;

const HEADER: &str = "| variable | is | interactions | worker | stats-* and migrate | runner |";
/// Who the columns of the table speak of.
const COLUMNS: [&[&str]; 4] =
    [&["interactions"], &["worker"], &["stats-ingest", "stats-rollup", "migrate"], &["gateway-runner"]];

fn manual() -> String {
    fs::read_to_string(repository::root().join("docs/operations.md")).expect("docs/operations.md is there")
}

/// The lines of the table of variables, without its head.
fn rows(manual: &str) -> Vec<&str> {
    let rows = manual.lines().skip_while(|line| *line != HEADER).skip(2).take_while(|line| line.starts_with('|'));
    let rows: Vec<_> = rows.collect();
    assert!(rows.len() > 20, "the table of variables was found");
    rows
}

fn variable(row: &str) -> &str {
    row.split('`').nth(1).unwrap_or_else(|| panic!("{row} names no variable"))
}

/// What each program is given in a deployment, as the table has it. `development` is for a developer's machine and the tests.
fn documented(manual: &str) -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut programs: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for row in rows(manual) {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).skip(2).collect();
        assert_eq!(cells.len(), COLUMNS.len(), "{row}");
        for (cell, column) in cells.into_iter().zip(COLUMNS) {
            let known = ["", "development", "optional", "optional (stats-*)", "required"].contains(&cell);
            assert!(known, "{}: what does \"{cell}\" mean?", variable(row));
            for program in column.iter().filter(|_| cell.starts_with("optional") || cell == "required") {
                if cell.ends_with("(stats-*)") && !program.starts_with("stats-") {
                    continue;
                }
                programs.entry(*program).or_default().insert(variable(row).to_owned());
            }
        }
    }
    programs
}

/// What each program is given, by name.
fn given(template: &Template) -> BTreeMap<String, BTreeMap<String, Value>> {
    let container = &template.resource("RunnerTask")["Properties"]["ContainerDefinitions"][0];
    let owned = |(name, value): (&str, &Value)| (name.to_owned(), value.clone());
    let mut programs = BTreeMap::from([(
        "gateway-runner".to_owned(),
        container_variables(container).into_iter().map(owned).collect(),
    )]);
    for function in template.functions() {
        let variables = function.properties["Environment"]["Variables"].as_object().expect("variables");
        let variables = variables.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        programs.insert(function.binary().expect("a binary").to_owned(), variables);
    }
    programs
}

/// Whether a parameter decides the value, or whether there is one.
fn is_chosen(template: &Template, value: &Value) -> bool {
    let parameters = template.section("Parameters");
    let mut chosen = false;
    walk(value, &mut |part| {
        let conditions = template.section("Conditions");
        let condition = part["Fn::If"][0].as_str().or_else(|| part["Condition"].as_str());
        chosen |= condition.is_some_and(|name| is_chosen(template, &conditions[name]));
        chosen |= part["Ref"].as_str().is_some_and(|name| !parameters[name].is_null());
        let text = part["Fn::Sub"].as_str().or_else(|| part["ValueFrom"]["Fn::Sub"].as_str()).unwrap_or_default();
        chosen |=
            text.split("${").skip(1).any(|rest| !parameters[rest.split('}').next().unwrap_or_default()].is_null());
    });
    chosen
}

#[test]
fn what_operators_are_told_of_is_what_the_template_gives() {
    let manual = manual();
    let documented = documented(&manual);
    let given = given(&template());
    assert_eq!(documented.len(), given.len(), "the table has every program");
    for (program, variables) in &given {
        let given: BTreeSet<_> = variables.keys().cloned().collect();
        assert_eq!(documented[program.as_str()], given, "{program}: the table of docs/operations.md, and the template");
    }
}

#[test]
fn what_operators_are_told_to_set_is_chosen_by_a_parameter() {
    let manual = manual();
    let template = template();
    let given = given(&template);
    let table: BTreeSet<_> = rows(&manual).into_iter().collect();
    let mut seen = 0;
    for name in table.iter().map(|row| variable(row)) {
        // In the text: `NAME` or `NAME=value`.
        let told = manual.lines().filter(|line| !table.contains(line));
        let mut words = told.flat_map(|line| line.split('`').skip(1).step_by(2));
        if !words.any(|word| word.split('=').next() == Some(name)) {
            continue;
        }
        seen += 1;
        let values: Vec<_> = given.values().filter_map(|variables| variables.get(name)).collect();
        assert!(!values.is_empty(), "docs/operations.md speaks of {name}, which nobody is given");
        for value in values {
            assert!(
                is_chosen(&template, value),
                "docs/operations.md speaks of {name}, and no parameter sets it: {value}"
            );
        }
    }
    assert!(seen >= 3, "the page speaks of some variables");
}

fn template() -> Template {
    Template::read(&repository::root()).expect("template.yaml is a template")
}

#[test]
fn commands_that_deploy_take_everything_from_the_deployments_own_file() {
    let manual = manual();
    let commands: Vec<_> = manual.lines().filter(|line| line.starts_with("sam ")).collect();
    assert!(commands.len() >= 6, "the page shows how to deploy");
    for command in commands {
        // `sam build` without it takes the template's own `Architecture`; what stands on the line is in no file.
        assert!(command.contains(" --config-file deployment.toml"), "{command}");
        assert!(!command.contains("--parameter-overrides") && !command.contains("--guided"), "{command}");
    }
    // The command line gives up after a minute and invokes once more.
    for command in manual.lines().filter(|line| line.contains("aws lambda invoke")) {
        assert!(command.contains("AWS_MAX_ATTEMPTS=1") && command.contains("--cli-read-timeout 0"), "{command}");
    }
}
