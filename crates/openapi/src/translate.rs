//! From a document to tools.

use std::collections::{BTreeMap, BTreeSet};

use http::{HeaderValue, Method};
use serde_json::{Map, Value, json};

use crate::document::{Document, Limits, OpenApiError, Problem, left_out};
use crate::operation::{BodyArgument, Operation, Piece};
use crate::parameter::{Parameter, Place, declared, is_json};
use crate::schema::{Schemas, Side};

/// MCP clients cut names that are longer.
const NAME_CHARS_MAX: usize = 64;
const DESCRIPTION_CHARS_MAX: usize = 2_000;
/// How many operations that were left out are named when nothing else is left.
const REASONS_MAX: usize = 3;

/// The tools of an API.
#[derive(Clone, Debug)]
pub struct Api {
    /// What the API calls itself.
    pub title: String,
    /// In the order of paths and methods in the document's alphabet.
    pub tools: Vec<Tool>,
    /// The operations that are no tool.
    pub left_out: Vec<LeftOut>,
}

/// One operation as a tool.
#[derive(Clone, Debug)]
pub struct Tool {
    /// Its name: the operation's id, else made of method and path.
    pub name: String,
    /// Its definition for `tools/list`: one JSON object.
    pub definition: String,
    /// Whether the definition promises structured content.
    pub has_output_schema: bool,
    /// What it does with its arguments.
    pub operation: Operation,
}

/// An operation that is no tool, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftOut {
    /// Its method and path.
    pub operation: String,
    /// Why.
    pub reason: String,
}

/// Turns a document, JSON or YAML, into tools. `own_headers` are headers that the gateway sets itself, such as the one with its
/// credential, in lower case: no tool asks for them.
///
/// # Errors
/// [`OpenApiError`], if the document as a whole cannot be used.
pub fn translate(document: &[u8], own_headers: &[&str], limits: Limits) -> Result<Api, OpenApiError> {
    let document = Document::read(document, &limits)?;
    let mut api = Api { title: document.title(), tools: Vec::new(), left_out: Vec::new() };
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut bytes_left = limits.all_schemas_bytes_max;
    for (path, item) in document.paths() {
        let item = match document.object(item, path) {
            Ok(item) => item,
            Err(Problem::Document(error)) => return Err(error),
            Err(Problem::Operation(reason)) => {
                api.left_out.push(LeftOut { operation: path.to_owned(), reason });
                continue;
            }
        };
        for (method, raw) in operations(item) {
            let operation = format!("{method} {path}");
            if api.tools.len().saturating_add(api.left_out.len()) >= limits.operations_max {
                return Err(OpenApiError::TooManyOperations(limits.operations_max));
            }
            let schemas = Schemas::new(&document, &limits);
            let translation = Translation { document: &document, path, item, raw, own_headers, schemas };
            match translation.tool(method) {
                Ok((tool, schemas)) => {
                    bytes_left = bytes_left
                        .checked_sub(schemas.bytes(&limits))
                        .ok_or(OpenApiError::SchemasTooLarge(limits.all_schemas_bytes_max))?;
                    if let Some(first) = names.insert(tool.name.clone(), operation.clone()) {
                        return Err(OpenApiError::DuplicateName {
                            name: tool.name,
                            first,
                            second: operation,
                        });
                    }
                    api.tools.push(tool);
                }
                Err(Problem::Document(error)) => return Err(error),
                Err(Problem::Operation(reason)) => api.left_out.push(LeftOut { operation, reason }),
            }
        }
    }
    if api.tools.is_empty() {
        let reasons: Vec<String> = api
            .left_out
            .iter()
            .take(REASONS_MAX)
            .map(|left| format!("{}: {}", left.operation, left.reason))
            .collect();
        let reasons = reasons.join("; ");
        return Err(OpenApiError::NoTools(if reasons.is_empty() {
            reasons
        } else {
            format!(" ({reasons})")
        }));
    }
    Ok(api)
}

/// The operations of a path item that can be tools.
fn operations(item: &Map<String, Value>) -> impl Iterator<Item = (Method, &Map<String, Value>)> {
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE].into_iter().filter_map(|method| {
        let raw = item.get(&method.as_str().to_ascii_lowercase())?.as_object()?;
        Some((method, raw))
    })
}

impl Document {
    fn title(&self) -> String {
        let title = self.info("title").unwrap_or("REST API");
        title.chars().take(100).collect()
    }
}

/// One operation on its way.
struct Translation<'a> {
    document: &'a Document,
    path: &'a str,
    item: &'a Map<String, Value>,
    raw: &'a Map<String, Value>,
    own_headers: &'a [&'a str],
    schemas: Schemas<'a>,
}

impl<'a> Translation<'a> {
    fn tool(mut self, method: Method) -> Result<(Tool, Schemas<'a>), Problem> {
        let mut inputs = Inputs::default();
        let parameters = self.parameters(&mut inputs)?;
        let path = template(self.path, &parameters)?;
        let body = self.body(&mut inputs)?;
        let output = self.output()?;
        let name = self.name(&method)?;
        let mut definition = Map::new();
        definition.insert("name".to_owned(), json!(name));
        if let Some(title) = self.text("summary") {
            definition.insert("title".to_owned(), json!(cut(title)));
        }
        definition.insert("description".to_owned(), json!(self.description(&method)));
        definition.insert("inputSchema".to_owned(), inputs.schema());
        let has_output_schema = output.is_some();
        if let Some(output) = output {
            definition.insert("outputSchema".to_owned(), output);
        }
        definition.insert("annotations".to_owned(), annotations(&method));
        let definition = Value::Object(definition).to_string();
        let operation = Operation { method, path, parameters, body };
        Ok((Tool { name, definition, has_output_schema, operation }, self.schemas))
    }

    fn text(&self, member: &str) -> Option<&'a str> {
        self.raw.get(member).and_then(Value::as_str).filter(|text| !text.trim().is_empty())
    }

    /// The operation's id in the characters that every MCP client takes; without one, method and path. An id that has no others stays
    /// as it is: it is by this name that a tool has its price.
    fn name(&self, method: &Method) -> Result<String, Problem> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let plain = |raw: &str| raw.chars().map(|c| if allowed(c) { c } else { '_' }).collect::<String>();
        let name = match self.text("operationId") {
            Some(id) => plain(id.trim()),
            None => {
                let steps = plain(&format!("{}{}", method.as_str().to_ascii_lowercase(), self.path));
                steps.split('_').filter(|step| !step.is_empty()).collect::<Vec<_>>().join("_")
            }
        };
        let name: String = name.chars().take(NAME_CHARS_MAX).collect();
        let is_name = name.contains(|c: char| c != '_');
        if is_name { Ok(name) } else { left_out("it has no name that could be a tool's") }
    }

    fn description(&self, method: &Method) -> String {
        let parts: Vec<&str> = ["summary", "description"].into_iter().filter_map(|m| self.text(m)).collect();
        if parts.is_empty() { format!("{method} {}", cut(self.path)) } else { cut(&parts.join("\n\n")) }
    }

    /// Those of the operation, and those of its path that it does not replace.
    fn parameters(&mut self, inputs: &mut Inputs) -> Result<Vec<Parameter>, Problem> {
        let list = |of: &'a Map<String, Value>| of.get("parameters").and_then(Value::as_array);
        let mut seen: BTreeSet<(String, Place)> = BTreeSet::new();
        let mut found: Vec<(Parameter, Value, &'a Map<String, Value>)> = Vec::new();
        for raw in list(self.raw).into_iter().chain(list(self.item)).flatten() {
            let raw = self.document.object(raw, "a parameter")?;
            let Some((parameter, schema)) = declared(self.document, raw, self.own_headers)? else {
                continue;
            };
            if seen.insert((parameter.name.clone(), parameter.place)) {
                let schema = match schema {
                    Some(schema) => self.schemas.alone(schema, Side::Input)?,
                    None => json!({}),
                };
                found.push((parameter, schema, raw));
            }
        }
        // A name that stands in two places gets the place in front.
        let several = |name: &str| seen.iter().filter(|(other, _)| other == name).count() > 1;
        let mut parameters = Vec::with_capacity(found.len());
        for (mut parameter, mut schema, raw) in found {
            if several(&parameter.name) {
                parameter.argument = format!("{}_{}", parameter.place.word(), parameter.name);
            }
            let description = raw.get("description").and_then(Value::as_str);
            if let (Some(text), Value::Object(schema)) = (description, &mut schema) {
                schema.entry("description").or_insert_with(|| json!(cut(text)));
            }
            inputs.add(&parameter.argument, schema, parameter.required)?;
            parameters.push(parameter);
        }
        Ok(parameters)
    }

    fn body(&mut self, inputs: &mut Inputs) -> Result<Option<BodyArgument>, Problem> {
        let Some(raw) = self.raw.get("requestBody") else { return Ok(None) };
        let raw = self.document.object(raw, "its body")?;
        let required = raw.get("required") == Some(&Value::Bool(true));
        let content = raw.get("content").and_then(Value::as_object);
        let Some((media_type, media)) = content.into_iter().flatten().find(|(media, _)| is_json(media))
        else {
            return if required { left_out("its body must be sent and is no JSON") } else { Ok(None) };
        };
        let Ok(content_type) = HeaderValue::from_str(media_type) else {
            return left_out("the type of its body cannot stand in a header");
        };
        let schema = match self.document.object(media, "its body")?.get("schema") {
            Some(schema) => self.schemas.alone(schema, Side::Input)?,
            None => json!({}),
        };
        let argument = "body".to_owned();
        inputs.add(&argument, schema, required)?;
        Ok(Some(BodyArgument { argument, content_type, required }))
    }

    /// The schema of the answer, where the document declares one successful answer, and it is a JSON object.
    fn output(&mut self) -> Result<Option<Value>, Problem> {
        let responses = self.raw.get("responses").and_then(Value::as_object);
        let mut successes = responses.into_iter().flatten().filter(|(status, _)| status.starts_with('2'));
        let (Some((_, only)), None) = (successes.next(), successes.next()) else { return Ok(None) };
        let response = self.document.object(only, "its answer")?;
        let content = response.get("content").and_then(Value::as_object);
        let mut media = content.into_iter().flatten();
        let (Some((media_type, media)), None) = (media.next(), media.next()) else { return Ok(None) };
        let Some(schema) = self.document.object(media, "its answer")?.get("schema") else { return Ok(None) };
        if !is_json(media_type) {
            return Ok(None);
        }
        let schema = self.schemas.alone(schema, Side::Output)?;
        Ok(Some(schema).filter(|schema| schema.get("type") == Some(&json!("object"))))
    }
}

/// The arguments of a tool.
#[derive(Default)]
struct Inputs {
    properties: Map<String, Value>,
    required: Vec<String>,
}

impl Inputs {
    fn add(&mut self, name: &str, schema: Value, required: bool) -> Result<(), Problem> {
        if self.properties.insert(name.to_owned(), schema).is_some() {
            return left_out(format!("two of its arguments would be called {name:?}"));
        }
        if required {
            self.required.push(name.to_owned());
        }
        Ok(())
    }

    fn schema(self) -> Value {
        let mut schema = json!({ "type": "object", "properties": self.properties });
        if let Value::Object(members) = &mut schema {
            if !self.required.is_empty() {
                members.insert("required".to_owned(), json!(self.required));
            }
            members.insert("additionalProperties".to_owned(), json!(false));
        }
        schema
    }
}

/// What MCP clients are told of the method's meaning (RFC 9110, section 9.2).
fn annotations(method: &Method) -> Value {
    match *method {
        Method::GET => json!({ "readOnlyHint": true, "openWorldHint": true }),
        Method::PUT | Method::DELETE => {
            json!({ "readOnlyHint": false, "destructiveHint": true, "idempotentHint": true, "openWorldHint": true })
        }
        Method::PATCH => json!({ "readOnlyHint": false, "destructiveHint": true, "openWorldHint": true }),
        _ => json!({ "readOnlyHint": false, "openWorldHint": true }),
    }
}

/// The pieces of a path. It comes from the document and is checked as well: it must be a plain path.
fn template(path: &str, parameters: &[Parameter]) -> Result<Vec<Piece>, Problem> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%{}".contains(&byte);
    let steps_out = path.split('/').any(|step| matches!(step, "." | ".."));
    if !path.starts_with('/') || path.contains("//") || steps_out || !path.bytes().all(is_plain) {
        return left_out("its path is no plain path");
    }
    let mut pieces = Vec::new();
    let mut rest = path;
    let mut used = BTreeSet::new();
    while let Some((before, behind)) = rest.split_once('{') {
        let Some((name, after)) = behind.split_once('}') else {
            return left_out("a brace of its path is not closed");
        };
        let is_declared = |parameter: &Parameter| parameter.place == Place::Path && parameter.name == name;
        if !parameters.iter().any(is_declared) {
            return left_out(format!("its path names {name:?}, which no parameter declares"));
        }
        used.insert(name);
        pieces.push(Piece::Text(before.to_owned()));
        pieces.push(Piece::Parameter(name.to_owned()));
        rest = after;
    }
    if rest.contains('}') {
        return left_out("a brace of its path is not opened");
    }
    pieces.push(Piece::Text(rest.to_owned()));
    let unused =
        |parameter: &&Parameter| parameter.place == Place::Path && !used.contains(parameter.name.as_str());
    match parameters.iter().find(unused) {
        Some(parameter) => left_out(format!("its path has no place for {:?}", parameter.name)),
        None => Ok(pieces),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(DESCRIPTION_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;
