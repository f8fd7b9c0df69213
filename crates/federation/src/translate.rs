//! One server's messages in the names of the federated door, and the other way round.
//!
//! Only what names something is changed, by splices; what cannot be read or names nothing keeps its bytes.

use bytes::Bytes;
use tollgate_domain::ServerName;
use tollgate_mcp::json::{self, quote};
use tollgate_mcp::{Frame, Kind as Message, raw};

use crate::ids::{TaskIds, foreign_id, foreign_token, home_token};
use crate::lists::Kind;
use crate::names::Names;

#[cfg(test)]
mod tests;

const PROGRESS_TOKEN: &str = "progressToken";
/// `_meta` key of messages that belong to a task (2025-11-25).
const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";

/// Translates between one server and one caller of the door.
#[derive(Clone, Copy, Debug)]
pub struct Translator<'a> {
    /// The names of the door.
    pub names: &'a Names,
    /// The task ids of the caller.
    pub tasks: TaskIds<'a>,
    /// The server.
    pub server: &'a ServerName,
}

impl Translator<'_> {
    /// A server's message as the client is to see it. `None`: as it came.
    pub fn to_client(&self, frame: &Frame) -> Option<Bytes> {
        match frame.kind() {
            Message::Request => self.request(frame),
            Message::Notification => self.notification(frame),
            Message::Response => self.answer(frame),
            Message::ErrorResponse => None,
        }
    }

    /// The same at the server's own door ([`Names::of_own_door`]), where nothing but its tasks has another name.
    pub fn to_client_of_own_door(&self, frame: &Frame) -> Option<Bytes> {
        let is_of_task = || frame.method().is_some_and(|method| method.starts_with("notifications/tasks"));
        match frame.kind() {
            Message::Notification if is_of_task() => self.notification(frame),
            Message::Request | Message::Notification => frame.meta(RELATED_TASK).map(|_| self.related(frame)),
            Message::Response => self.listed(frame).or_else(|| self.answer(frame)),
            Message::ErrorResponse => None,
        }
    }

    /// A list of tasks, which no other answer has; a federated door merges its lists elsewhere.
    fn listed(&self, frame: &Frame) -> Option<Bytes> {
        let listed = raw::map_elements(&frame.result()?, "tasks", |task| self.with_task(task))?;
        raw::set(frame.bytes(), &[("result", std::str::from_utf8(&listed).ok()?)]).ok()
    }

    /// A server's answer as the client is to see it. `None`: as it came.
    pub fn answer(&self, frame: &Frame) -> Option<Bytes> {
        let result = self.result(&frame.result()?)?;
        raw::set(frame.bytes(), &[("result", std::str::from_utf8(&result).ok()?)]).ok()
    }

    /// A client's message as the server is to see it, as far as it names a task it belongs to. `None`: as it came.
    pub fn to_server(&self, frame: &Frame) -> Option<Bytes> {
        let related = frame.meta(RELATED_TASK).map(|found| frame.bytes().slice_ref(found))?;
        let public = raw::text(&related, "taskId")?;
        let (server, own) = self.tasks.resolve(self.names, &public)?;
        if server != self.server {
            return None;
        }
        let related = raw::set(&related, &[("taskId", &quote(own))]).ok()?;
        let related = std::str::from_utf8(&related).ok()?;
        match frame.kind() {
            Message::Response => frame.with_result_meta(&[(RELATED_TASK, related)], |_| false).ok(),
            Message::Request | Message::Notification | Message::ErrorResponse => {
                Some(frame.with_meta_value(RELATED_TASK, related))
            }
        }
    }

    /// One item of a list under its name at this door. `None`: as it came.
    pub fn item(&self, kind: Kind, item: &Bytes) -> Option<Bytes> {
        match kind {
            Kind::Tools => self.tool(item),
            Kind::Prompts => {
                self.renamed(item, "name", |own| self.names.public(self.server, own).into_owned())
            }
            Kind::Resources => self.with_uri(item, "uri"),
            Kind::Templates => self.with_uri(item, "uriTemplate"),
            Kind::Tasks => self.with_task(item),
        }
    }

    /// A tool, and the resource that shows its results (MCP Apps).
    fn tool(&self, item: &Bytes) -> Option<Bytes> {
        let renamed = self.renamed(item, "name", |own| self.names.public(self.server, own).into_owned());
        let current = renamed.as_ref().unwrap_or(item);
        let shown = raw::member(current, "_meta").and_then(|meta| {
            let nested = raw::member(&meta, "ui").and_then(|ui| {
                let ui = self.with_uri(&ui, "resourceUri")?;
                raw::set(&meta, &[("ui", std::str::from_utf8(&ui).ok()?)]).ok()
            });
            let flat = self.with_uri(nested.as_ref().unwrap_or(&meta), "ui/resourceUri");
            let meta = flat.or(nested)?;
            raw::set(current, &[("_meta", std::str::from_utf8(&meta).ok()?)]).ok()
        });
        shown.or(renamed)
    }

    fn request(&self, frame: &Frame) -> Option<Bytes> {
        let id = foreign_id(self.server, frame.id()?)?;
        let named = Frame::parse_upstream(frame.with_id(&id)).ok()?;
        let token = named.meta(PROGRESS_TOKEN).and_then(|raw| std::str::from_utf8(raw).ok());
        let Some(token) = token else { return Some(self.related(&named)) };
        let marked = named.with_meta_value(PROGRESS_TOKEN, &foreign_token(self.server, token));
        Some(Frame::parse_upstream(marked.clone()).map_or(marked, |frame| self.related(&frame)))
    }

    fn notification(&self, frame: &Frame) -> Option<Bytes> {
        let text = |name| frame.param(name).and_then(json::string);
        match frame.method()? {
            "notifications/cancelled" => {
                let id = std::str::from_utf8(frame.param("requestId")?).ok()?;
                Some(frame.with_param("requestId", &foreign_token(self.server, id)))
            }
            "notifications/resources/updated" => {
                let public = self.names.public_uri(self.server, &text("uri")?).into_owned();
                Some(frame.with_param("uri", &quote(&public)))
            }
            "notifications/tasks" | "notifications/tasks/status" => {
                let public = self.tasks.public(self.names, self.server, &text("taskId")?);
                let named = frame.with_param("taskId", &quote(&public));
                // What it came to may stand beside it, as in the answer to `tasks/get`.
                let result = frame.param("result").map(|result| frame.bytes().slice_ref(result));
                let Some(result) = result.and_then(|result| self.result(&result)) else { return Some(named) };
                let named = Frame::parse_upstream(named).ok()?;
                Some(named.with_param("result", std::str::from_utf8(&result).ok()?))
            }
            _ => frame.meta(RELATED_TASK).map(|_| self.related(frame)),
        }
    }

    /// The message with the task it belongs to under its name at this door.
    fn related(&self, frame: &Frame) -> Bytes {
        let related = frame.meta(RELATED_TASK).map(|found| frame.bytes().slice_ref(found));
        let related = related.and_then(|related| self.with_task(&related));
        match related.as_deref().map(std::str::from_utf8) {
            Some(Ok(related)) => frame.with_meta_value(RELATED_TASK, related),
            Some(Err(_)) | None => frame.bytes().clone(),
        }
    }

    /// A raw result. What it is follows from its members: resources that were read or are linked, prompts with such, tasks.
    fn result(&self, result: &Bytes) -> Option<Bytes> {
        let text = std::str::from_utf8(result).ok()?;
        let has_uris = text.contains("\"uri\"");
        if !has_uris && !text.contains("\"taskId\"") {
            return None;
        }
        let mut current: Option<Bytes> = None;
        let mut change = |edit: &dyn Fn(&Bytes) -> Option<Bytes>| {
            if let Some(new) = edit(current.as_ref().unwrap_or(result)) {
                current = Some(new);
            }
        };
        if has_uris {
            change(&|now| raw::map_elements(now, "contents", |item| self.with_uri(item, "uri")));
            change(&|now| raw::map_elements(now, "content", |block| self.block(block)));
            change(&|now| {
                raw::map_elements(now, "messages", |message| {
                    self.within(message, "content", |c| self.block(c))
                })
            });
        }
        change(&|now| raw::member(now, "status").and_then(|_| self.with_task(now)));
        // A task that is over has the result of its call within.
        change(&|now| {
            raw::member(now, "taskId").and_then(|_| self.within(now, "result", |result| self.result(result)))
        });
        change(&|now| self.within(now, "task", |task| self.with_task(task)));
        change(&|now| {
            self.within(now, "_meta", |meta| self.within(meta, RELATED_TASK, |task| self.with_task(task)))
        });
        current
    }

    /// A content block: a link to a resource, or one that is embedded.
    fn block(&self, block: &Bytes) -> Option<Bytes> {
        match raw::text(block, "type")?.as_str() {
            "resource_link" => self.with_uri(block, "uri"),
            "resource" => self.within(block, "resource", |resource| self.with_uri(resource, "uri")),
            _ => None,
        }
    }

    fn within(&self, object: &Bytes, name: &str, change: impl Fn(&Bytes) -> Option<Bytes>) -> Option<Bytes> {
        let new = change(&raw::member(object, name)?)?;
        raw::set(object, &[(name, std::str::from_utf8(&new).ok()?)]).ok()
    }

    fn with_uri(&self, object: &Bytes, member: &str) -> Option<Bytes> {
        self.renamed(object, member, |own| self.names.public_uri(self.server, own).into_owned())
    }

    fn with_task(&self, object: &Bytes) -> Option<Bytes> {
        self.renamed(object, "taskId", |own| self.tasks.public(self.names, self.server, own))
    }

    fn renamed(&self, object: &Bytes, member: &str, name: impl Fn(&str) -> String) -> Option<Bytes> {
        let own = raw::text(object, member)?;
        let public = name(&own);
        if public == own { None } else { raw::set(object, &[(member, &quote(&public))]).ok() }
    }
}

/// A client's `notifications/progress` for a server's own request: that server, and the message as it is to see it.
pub fn home_progress(frame: &Frame) -> Option<(ServerName, Bytes)> {
    let (server, token) = home_token(frame.param(PROGRESS_TOKEN)?)?;
    Some((server, frame.with_param(PROGRESS_TOKEN, &token)))
}
