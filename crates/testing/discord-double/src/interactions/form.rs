//! Forms: what a member filled in, in the shape of the form.
//!
//! **Invariant:** every required field is filled in, within its bounds.

use serde_json::{Map, Value, json};

use super::send::Refusal;

/// The `data` of the interaction for a form the application opened.
pub(super) fn data(form: &Value, fields: &Map<String, Value>) -> Result<Value, Refusal> {
    let inputs = form["components"].as_array().cloned().unwrap_or_default();
    let mut components = Vec::new();
    for (number, component) in (1..).zip(&inputs) {
        components.push(filled(component, number, fields)?);
    }
    Ok(json!({ "custom_id": form["custom_id"], "components": components }))
}

fn filled(component: &Value, number: u64, fields: &Map<String, Value>) -> Result<Value, Refusal> {
    let id = component["id"].as_u64().unwrap_or(number * 100);
    let kind = component["type"].as_u64().unwrap_or(0);
    let mut answer = json!({ "type": kind, "id": id });
    match kind {
        1 => {
            let mut inputs = Vec::new();
            for input in component["components"].as_array().into_iter().flatten() {
                inputs.push(filled(input, number + 1_000, fields)?);
            }
            answer["components"] = json!(inputs);
        }
        18 => answer["component"] = filled(&component["component"], number + 1_000, fields)?,
        10 => {}
        _ => {
            let name = component["custom_id"].as_str().unwrap_or_default();
            answer["custom_id"] = json!(name);
            let given = fields.get(name).filter(|given| !given.is_null());
            let required = component["required"].as_bool().unwrap_or(true);
            if given.is_none() && required {
                return Err(Refusal::new(format!("the field {name} is required")));
            }
            // Text inputs (4), radio buttons (21) and checkboxes (23) have one value, the others a list.
            if matches!(kind, 4 | 21 | 23) {
                let value = given.cloned().unwrap_or_else(|| json!(""));
                length(name, &value, component)?;
                answer["value"] = value;
            } else {
                answer["values"] = match given {
                    Some(Value::Array(values)) => json!(values),
                    Some(value) => json!([value]),
                    None => json!([]),
                };
            }
        }
    }
    Ok(answer)
}

fn length(name: &str, value: &Value, input: &Value) -> Result<(), Refusal> {
    let length = value.as_str().map_or(0, |text| text.chars().count()) as u64;
    let (least, most) = (input["min_length"].as_u64().unwrap_or(0), input["max_length"].as_u64().unwrap_or(4_000));
    if length == 0 || (least..=most).contains(&length) {
        return Ok(());
    }
    Err(Refusal::new(format!("the field {name} takes {least} to {most} characters")))
}
