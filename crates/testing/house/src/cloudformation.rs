//! A template as JSON, with intrinsic functions in their long form (`!Ref X` becomes `{"Ref": "X"}`).
//!
//! **Invariant:** functions are seen with the globals they inherit, so that a rule cannot be missed by moving a line.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Map, Value, json};

/// A parsed template.
#[derive(Debug, Clone)]
pub struct Template {
    root: Value,
}

/// A function and the name of its resource.
#[derive(Debug, Clone)]
pub struct Function {
    /// The resource's name.
    pub name: String,
    /// Its properties, globals included.
    pub properties: Value,
    /// Its build settings.
    pub metadata: Value,
}

impl Template {
    /// The repository's own.
    ///
    /// # Errors
    /// When it is missing or no template.
    pub fn read(root: &Path) -> Result<Self> {
        let path = root.join("template.yaml");
        Self::parse(&fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?)
    }

    /// Reads a template.
    ///
    /// # Errors
    /// When it is not YAML or not the YAML of a template.
    pub fn parse(text: &str) -> Result<Self> {
        let documents = Yaml::load_from_str(text).context("the template is not YAML")?;
        let [document] = documents.as_slice() else { bail!("a template is one YAML document") };
        Ok(Self { root: to_json(document)? })
    }

    /// A top-level section; null when it is missing.
    pub fn section(&self, name: &str) -> &Value {
        &self.root[name]
    }

    /// The resources of a type, by name.
    pub fn resources(&self, kind: &str) -> BTreeMap<&str, &Value> {
        let resources = self.root["Resources"].as_object().into_iter().flatten();
        resources.filter(|(_, resource)| resource["Type"] == kind).map(|(name, r)| (name.as_str(), r)).collect()
    }

    /// Every resource, by name.
    pub fn all_resources(&self) -> impl Iterator<Item = (&str, &Value)> {
        let resources = self.root["Resources"].as_object().into_iter().flatten();
        resources.map(|(name, resource)| (name.as_str(), resource))
    }

    /// The resource with this name; null when there is none.
    pub fn resource(&self, name: &str) -> &Value {
        &self.root["Resources"][name]
    }

    /// Every Lambda function, globals included.
    pub fn functions(&self) -> Vec<Function> {
        let globals = &self.root["Globals"]["Function"];
        self.resources("AWS::Serverless::Function")
            .into_iter()
            .map(|(name, resource)| Function {
                name: name.to_owned(),
                properties: overlay(globals, &resource["Properties"]),
                metadata: resource["Metadata"].clone(),
            })
            .collect()
    }
}

impl Function {
    /// The name of the program, which is that of its folder under `functions/`.
    ///
    /// # Errors
    /// When the function does not name one.
    pub fn binary(&self) -> Result<&str> {
        self.metadata["BuildProperties"]["Binary"].as_str().with_context(|| format!("{} names no binary", self.name))
    }

    /// The SQS sources, by name.
    pub fn queue_sources(&self) -> impl Iterator<Item = (&str, &Value)> {
        let events = self.properties["Events"].as_object().into_iter().flatten();
        events.filter(|(_, e)| e["Type"] == "SQS").map(|(name, event)| (name.as_str(), &event["Properties"]))
    }
}

/// The resource that `!Ref X` or `!GetAtt X.Arn` names.
pub fn referenced(value: &Value) -> Option<&str> {
    if let Some(name) = value["Ref"].as_str() {
        return Some(name);
    }
    value["Fn::GetAtt"].as_str()?.split('.').next()
}

/// The variables and secrets that a container is given, by name; those under a condition included.
pub fn container_variables(container: &Value) -> BTreeMap<&str, &Value> {
    let mut variables = BTreeMap::new();
    for list in ["Environment", "Secrets"] {
        for entry in container[list].as_array().into_iter().flatten() {
            walk(entry, &mut |value| {
                if let Some(name) = value["Name"].as_str() {
                    variables.insert(name, entry);
                }
            });
        }
    }
    variables
}

/// Every value of the tree, the root first.
pub fn walk<'a>(value: &'a Value, visit: &mut impl FnMut(&'a Value)) {
    visit(value);
    match value {
        Value::Array(values) => values.iter().for_each(|value| walk(value, visit)),
        Value::Object(fields) => fields.values().for_each(|value| walk(value, visit)),
        _ => {}
    }
}

fn overlay(below: &Value, above: &Value) -> Value {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            let mut merged = below.clone();
            for (key, value) in above {
                let value = below.get(key).map_or_else(|| value.clone(), |inherited| overlay(inherited, value));
                merged.insert(key.clone(), value);
            }
            Value::Object(merged)
        }
        _ => above.clone(),
    }
}

fn to_json(yaml: &Yaml<'_>) -> Result<Value> {
    Ok(match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => json!(value),
        Yaml::Value(Scalar::Integer(value)) => json!(value),
        Yaml::Value(Scalar::FloatingPoint(value)) => json!(value.into_inner()),
        Yaml::Value(Scalar::String(value)) => json!(value),
        Yaml::Sequence(values) => Value::Array(values.iter().map(to_json).collect::<Result<_>>()?),
        Yaml::Mapping(fields) => {
            let mut object = Map::new();
            for (key, value) in fields {
                object.insert(key.as_str().context("a key that is not text")?.to_owned(), to_json(value)?);
            }
            Value::Object(object)
        }
        Yaml::Tagged(tag, value) => {
            let long = match tag.suffix.as_str() {
                name @ ("Ref" | "Condition") => name.to_owned(),
                name => format!("Fn::{name}"),
            };
            Value::Object(Map::from_iter([(long, to_json(value)?)]))
        }
        Yaml::Representation(text, ..) => bail!("an unresolved scalar: {text}"),
        Yaml::Alias(_) | Yaml::BadValue => bail!("aliases are not used in templates"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intrinsic_functions_take_their_long_form() {
        let template = Template::parse("Outputs:\n  A: !Ref B\n  C: !GetAtt D.Arn\n  E: !Join [',', [!Ref F, 1]]\n")
            .expect("parses");
        let expected = json!({
            "A": {"Ref": "B"},
            "C": {"Fn::GetAtt": "D.Arn"},
            "E": {"Fn::Join": [",", [{"Ref": "F"}, 1]]},
        });
        assert_eq!(template.section("Outputs"), &expected);
        assert_eq!(referenced(&expected["C"]), Some("D"));
    }

    #[test]
    fn a_variable_under_a_condition_is_one_too() {
        let container = json!({
            "Environment": [
                {"Name": "A", "Value": "1"},
                {"Fn::If": ["C", {"Name": "B", "Value": "2"}, {"Ref": "AWS::NoValue"}]},
            ],
            "Secrets": [{"Name": "S", "ValueFrom": "arn"}],
        });
        let names: Vec<_> = container_variables(&container).into_keys().collect();
        assert_eq!(names, ["A", "B", "S"]);
    }

    #[test]
    fn a_function_inherits_the_globals_it_does_not_override() {
        let text = "Globals:\n  Function:\n    MemorySize: 512\n    Environment: {Variables: {A: 1}}\nResources:\n  F:\n    Type: \
                    AWS::Serverless::Function\n    Properties:\n      MemorySize: 1024\n      Environment: {Variables: {B: 2}}\n";
        let functions = Template::parse(text).expect("parses").functions();
        assert_eq!(
            functions[0].properties,
            json!({"MemorySize": 1024, "Environment": {"Variables": {"A": 1, "B": 2}}})
        );
    }
}
