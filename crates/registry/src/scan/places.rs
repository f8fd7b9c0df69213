//! Every text of a definition with its place: values and member names alike, since a model is shown both.

use serde_json::Value;

use crate::definition::Definition;
use crate::visible::visible;

/// One text of a definition.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Where it stands: a JSON pointer, hidden characters visible.
    pub(super) pointer: String,
    /// The text.
    pub(super) text: String,
    /// What it is.
    pub(super) kind: Kind,
}

/// What a text is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// The tool's own name.
    ToolName,
    /// The name of a member, such as an argument.
    MemberName,
    /// An image in a `data:` URL: for eyes, never for a model.
    Image,
    /// Anything else.
    Text,
}

/// All texts, in the order of the canonical form.
pub(super) fn of(definition: &Definition) -> Vec<Place> {
    let mut places = Vec::new();
    // A canonical form is JSON of at most 127 levels, which this parser takes.
    let value: Value = serde_json::from_str(definition.text()).unwrap_or_default();
    walk(&value, "", &mut places);
    places
}

fn walk(value: &Value, pointer: &str, places: &mut Vec<Place>) {
    match value {
        Value::String(text) => {
            let is_icon = pointer.starts_with("/icons/") && text.starts_with("data:image/");
            let kind = match pointer {
                "/name" => Kind::ToolName,
                _ if is_icon => Kind::Image,
                _ => Kind::Text,
            };
            places.push(Place { pointer: pointer.to_owned(), text: text.clone(), kind });
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &format!("{pointer}/{index}"), places);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                let at = format!("{pointer}/{}", visible(&name.replace('~', "~0").replace('/', "~1")));
                places.push(Place { pointer: at.clone(), text: name.clone(), kind: Kind::MemberName });
                walk(member, &at, places);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
