//! The document as one page of HTML: no script, no request to anywhere, readable without a gateway.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tollgate_domain::Digest;

use super::document::{linked, parsed, schema, schemas, word};
use super::operation::{Group, Operation, Shape};
use super::{Described, Served};

const STYLE: &str = include_str!("page.css");

/// Nothing but the page's own style: whatever else a text might smuggle in, a browser does not run or load it.
pub(crate) static CONTENT_SECURITY_POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = STANDARD.encode(Digest::of(STYLE.as_bytes()).as_bytes());
    format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

/// The page.
pub(super) fn of(described: &Described) -> String {
    let mut page = Page(String::with_capacity(128 * 1024));
    page.raw("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n");
    page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Tollgate HTTP API</title>\n<style>");
    page.raw(STYLE);
    page.raw("</style>\n<header><h1>Tollgate HTTP API</h1><p>Version ");
    page.text(env!("CARGO_PKG_VERSION"));
    page.raw(". The same as a document for machines: <a href=\"/api/openapi.json\">OpenAPI 3.1</a>.</p></header>\n");
    page.contents(described);
    page.raw("<main>\n");
    for group in Group::ALL {
        page.element("h2", group.name());
        page.prose(group.about());
        for served in of_group(described, group) {
            page.operation(served);
        }
    }
    page.element("h2", "Schemas");
    for (name, schema) in schemas(described) {
        page.raw(&format!(
            "<details class=\"schema\" id=\"schema-{name}\"><summary><code>{name}</code></summary>"
        ));
        page.json(&schema);
        page.raw("</details>\n");
    }
    page.raw("</main>\n</html>\n");
    page.0
}

fn of_group(described: &Described, group: Group) -> impl Iterator<Item = &Served> {
    described.served.iter().filter(move |served| served.operation.group == group)
}

struct Page(String);

impl Page {
    fn raw(&mut self, html: &str) {
        self.0.push_str(html);
    }

    fn text(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '&' => self.raw("&amp;"),
                '<' => self.raw("&lt;"),
                '>' => self.raw("&gt;"),
                '"' => self.raw("&quot;"),
                '\'' => self.raw("&#39;"),
                other => self.0.push(other),
            }
        }
    }

    fn element(&mut self, name: &str, text: &str) {
        self.raw(&format!("<{name}>"));
        self.text(text);
        self.raw(&format!("</{name}>\n"));
    }

    /// A sentence in which `code` stands between backticks.
    fn phrase(&mut self, text: &str) {
        for (index, part) in text.split('`').enumerate() {
            if index % 2 == 1 { self.element("code", part) } else { self.text(part) }
        }
    }

    fn prose(&mut self, text: &str) {
        self.raw("<p>");
        self.phrase(text);
        self.raw("</p>\n");
    }

    fn json(&mut self, value: &Value) {
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        self.element("pre", &text);
    }

    fn contents(&mut self, described: &Described) {
        self.raw("<nav aria-label=\"Contents\">\n");
        for group in Group::ALL {
            self.element("h2", group.name());
            self.raw("<ul>");
            for served in of_group(described, group) {
                let id = served.operation.id;
                self.raw(&format!("<li><a href=\"#{id}\">"));
                self.method(served);
                self.text(served.path);
                self.raw("</a>");
            }
            self.raw("</ul>\n");
        }
        self.raw("</nav>\n");
    }

    fn method(&mut self, served: &Served) {
        let method = word(served.verb);
        self.raw(&format!("<b class=\"{method}\">{}</b> ", method.to_uppercase()));
    }

    fn operation(&mut self, served: &Served) {
        let operation = served.operation;
        self.raw(&format!("<section id=\"{}\"><h3>", operation.id));
        self.method(served);
        self.element("code", served.path);
        self.raw("</h3>\n");
        self.prose(operation.summary);
        self.prose(operation.about);
        self.access(operation);
        self.parameters(operation);
        if let Some(body) = &operation.body {
            self.element("h4", "Body");
            self.shape(body.shape);
            for example in body.examples {
                self.prose(example.shows);
                self.json(&parsed(example.json));
            }
        }
        self.answers(operation);
        self.raw("</section>\n");
    }

    fn access(&mut self, operation: &Operation) {
        let schemes = operation.access.schemes();
        if schemes.is_empty() {
            return;
        }
        let listed: Vec<String> = schemes.iter().map(|scheme| format!("`{scheme}`")).collect();
        let need = if operation.access.is_open() { "May carry" } else { "Needs" };
        self.prose(&format!("{need} {}.", listed.join(", ")));
    }

    fn parameters(&mut self, operation: &Operation) {
        if operation.parameters.is_empty() {
            return;
        }
        self.raw("<table><tr><th>Parameter<th>In<th>What<th>Example\n");
        for parameter in operation.parameters {
            self.raw("<tr><td>");
            self.element("code", parameter.name);
            self.raw(&format!("<td>{}<td>", parameter.place.word()));
            self.phrase(parameter.about);
            self.raw("<td>");
            self.element("code", parameter.example);
        }
        self.raw("</table>\n");
    }

    fn answers(&mut self, operation: &Operation) {
        self.element("h4", "Answers");
        for told in operation.told {
            self.raw(&format!("<details><summary><b class=\"status\">{}</b> ", told.status));
            self.phrase(told.about);
            self.raw("</summary>");
            let is_json = told.content_type.contains("json");
            self.prose(&format!("`{}`", told.content_type));
            for (name, about) in told.headers {
                self.prose(&format!("`{name}`: {about}"));
            }
            if is_json {
                self.shape(told.shape);
            }
            match told.example {
                Some(example) if is_json => self.json(&parsed(example)),
                Some(example) => self.element("pre", example),
                None => {}
            }
            self.raw("</details>\n");
        }
        self.raw("<table class=\"codes\">");
        for (status, words) in operation.errors() {
            self.raw(&format!("<tr><td><b class=\"status\">{status}</b><td>"));
            for word in words {
                let page = linked(word);
                if page.is_empty() {
                    self.element("code", word);
                } else {
                    self.raw(&format!("<a href=\"{page}\"><code>{word}</code></a>\n"));
                }
            }
        }
        self.raw("</table>\n");
    }

    fn shape(&mut self, shape: Shape) {
        match shape {
            Shape::Named(name) => {
                self.raw(&format!("<p><a href=\"#schema-{name}\"><code>{name}</code></a></p>\n"));
            }
            Shape::Json(_) => self.json(&schema(shape)),
        }
    }
}
