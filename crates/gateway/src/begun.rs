//! Which tasks callers have begun, for lists of them (`tasks/list`, 2025-11-25).
//!
//! To a server every caller is the gateway, so where it does not keep its sessions apart it lists the tasks of all of them; and an id
//! that leaves a door is given its tag for whoever reads it. So of a list everybody gets what this gateway has given to them, or was
//! asked about by them with the tag (M12). Callers without a key are one to a tag, which nobody can guess; in a list they are told apart by
//! their sessions, and without one nobody is shown any. What is not remembered is left out, never shown: an id that a caller has goes on to work.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use http::HeaderValue;
use parking_lot::Mutex;
use tollgate_domain::{Digest, ServerName};
use tollgate_federation::TaskIds;
use tollgate_mcp::{Frame, json, raw};

/// How many tasks are remembered; the oldest are forgotten first. Six megabytes at most.
const KEPT_MAX: usize = 65_536;

/// The announcement of a task in the era of sessions. That of 2026-07-28 comes to those alone who ask for it by the task's id.
const STATUS: &str = "notifications/tasks/status";
/// `_meta` key of messages that belong to a task (2025-11-25).
pub const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";

/// The task that an answer hands to whoever called (2025-11-25), by the server's own id.
pub fn task_of(answer: &Frame) -> Option<String> {
    // Few answers have one, and this is asked of all.
    std::str::from_utf8(answer.bytes()).ok().filter(|text| text.contains("\"taskId\""))?;
    raw::text(&raw::member(&answer.result()?, "task")?, "taskId")
}

/// Who asks, as far as a list of tasks is concerned.
#[derive(Clone, Copy, Debug)]
pub struct Whose<'a> {
    /// Their ids.
    pub tasks: TaskIds<'a>,
    /// The server's own id of their session.
    pub session: Option<&'a HeaderValue>,
}

impl Whose<'_> {
    /// `None`: whoever has neither a key nor a session is anybody.
    fn mark(&self, server: &ServerName, task: &str) -> Option<[u8; 32]> {
        let mark = self.tasks.mark(server, task);
        if self.tasks.principal.is_known() {
            return Some(mark);
        }
        let session = self.session?.as_bytes();
        Some(*Digest::of(&[&mark[..], session].concat()).as_bytes())
    }
}

/// The tasks that callers are known to have begun.
#[derive(Debug, Default)]
pub struct Begun(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    known: HashSet<[u8; 32]>,
    order: VecDeque<[u8; 32]>,
}

impl Begun {
    /// A task that is this caller's.
    pub fn note(&self, caller: &Whose<'_>, server: &ServerName, task: &str) {
        let Some(mark) = caller.mark(server, task) else { return };
        let mut kept = self.0.lock();
        if !kept.known.insert(mark) {
            return;
        }
        kept.order.push_back(mark);
        if kept.order.len() > KEPT_MAX
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.known.remove(&oldest);
        }
    }

    /// The task that an answer announces to this caller, where it does. Only once they get it: what was withheld because nobody paid
    /// must not be found in a list.
    pub fn note_answer(&self, caller: &Whose<'_>, server: &ServerName, answer: &Frame) {
        if let Some(task) = task_of(answer) {
            self.note(caller, server, &task);
        }
    }

    /// Whether a message of a session is about a task that is not known to be this caller's. They would be given a tag for it.
    pub fn is_of_another(&self, caller: &Whose<'_>, server: &ServerName, message: &Frame) -> bool {
        if message.method().is_none() {
            return false;
        }
        let related = message.meta(RELATED_TASK).map(|related| message.bytes().slice_ref(related));
        let related = related.and_then(|related| raw::text(&related, "taskId"));
        let announced =
            (message.method() == Some(STATUS)).then(|| message.param("taskId").and_then(json::string));
        let mut about = related.into_iter().chain(announced.flatten());
        about.any(|task| !self.knows(caller, server, &task))
    }

    /// Whether a raw task of a list is this caller's.
    pub fn is_own(&self, caller: &Whose<'_>, server: &ServerName, task: &Bytes) -> bool {
        let id = raw::text(task, "taskId");
        id.is_some_and(|id| self.knows(caller, server, &id))
    }

    fn knows(&self, caller: &Whose<'_>, server: &ServerName, task: &str) -> bool {
        caller.mark(server, task).is_some_and(|mark| self.0.lock().known.contains(&mark))
    }

    /// A list of tasks without those of others; `None` where the answer is none, or stays as it is.
    pub fn own_of(&self, caller: &Whose<'_>, server: &ServerName, answer: &Frame) -> Option<Frame> {
        let result = answer.result()?;
        let listed = raw::elements(&raw::member(&result, "tasks")?).ok()?;
        let own: Vec<&[u8]> =
            listed.iter().filter(|task| self.is_own(caller, server, task)).map(|task| &**task).collect();
        if own.len() == listed.len() {
            return None;
        }
        let own = [b"[".as_slice(), &own.join(b",".as_slice()), b"]"].concat();
        let result = raw::set(&result, &[("tasks", std::str::from_utf8(&own).ok()?)]).ok()?;
        let message = raw::set(answer.bytes(), &[("result", std::str::from_utf8(&result).ok()?)]).ok()?;
        Frame::parse_upstream(message).ok()
    }
}

#[cfg(test)]
mod tests {
    use tollgate_federation::{Keys, Principal};

    use super::*;

    fn of<'a>(keys: &'a Keys, key: Option<&str>, session: Option<&'a HeaderValue>) -> Whose<'a> {
        Whose { tasks: TaskIds { keys, principal: Principal::of(key) }, session }
    }

    fn listing(tasks: &str) -> Frame {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tasks":{tasks},"nextCursor":"n"}}}}"#);
        Frame::parse_upstream(Bytes::from(text)).unwrap()
    }

    #[test]
    fn m12_a_list_of_tasks_has_its_callers_own_alone() {
        let keys = Keys::derive(&[7; 32]).unwrap();
        let caller = |key: &str| of(&keys, Some(key), None);
        let (one, other) = (caller("tg_one"), caller("tg_two"));
        let (up, elsewhere): (ServerName, ServerName) = ("up".parse().unwrap(), "b".parse().unwrap());
        let begun = Begun::default();
        let made = r#"{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"t-1","status":"working"}}}"#;
        begun.note_answer(&one, &up, &Frame::parse_upstream(Bytes::from(made)).unwrap());
        begun.note(&other, &up, "t-2");

        let all = listing(r#"[{"taskId":"t-1"}, {"taskId":"t-2","x":1},{"taskId":"t-3"}]"#);
        let shown = |caller: &Whose<'_>, server: &ServerName| {
            let own = begun.own_of(caller, server, &all);
            String::from_utf8(own.unwrap().bytes().to_vec()).unwrap()
        };
        let expected = |tasks: &str| String::from_utf8(listing(tasks).bytes().to_vec()).unwrap();
        assert_eq!(shown(&one, &up), expected(r#"[{"taskId":"t-1"}]"#));
        assert_eq!(shown(&other, &up), expected(r#"[{"taskId":"t-2","x":1}]"#));
        assert_eq!(shown(&one, &elsewhere), expected("[]"), "another server may use the same id");
        // Control: where all are the caller's own, no byte changes.
        assert!(begun.own_of(&one, &up, &listing(r#"[ {"taskId":"t-1"} ]"#)).is_none());
        assert!(begun.own_of(&one, &up, &Frame::parse_upstream(Bytes::from(made)).unwrap()).is_none());
        assert_eq!(begun.own_of(&one, &up, &listing("[1]")).unwrap().bytes(), listing("[]").bytes());
    }

    #[test]
    fn m12_what_is_said_of_a_task_is_for_whoever_began_it() {
        let keys = Keys::derive(&[7; 32]).unwrap();
        let caller = |key: &str| of(&keys, Some(key), None);
        let (one, other, server) = (caller("tg_one"), caller("tg_two"), "up".parse().unwrap());
        let begun = Begun::default();
        begun.note(&one, &server, "t-1");
        let frame = |members: &str| {
            Frame::parse_upstream(Bytes::from(format!(r#"{{"jsonrpc":"2.0",{members}}}"#))).unwrap()
        };
        let related = r#""params":{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t-1"}}}"#;
        for about in [
            r#""method":"notifications/tasks/status","params":{"taskId":"t-1","status":"working"}"#
                .to_owned(),
            format!(r#""method":"notifications/progress",{related}"#),
            format!(r#""id":1,"method":"elicitation/create",{related}"#),
        ] {
            assert!(begun.is_of_another(&other, &server, &frame(&about)), "{about}");
            assert!(!begun.is_of_another(&one, &server, &frame(&about)), "control: {about}");
        }
        for elsewhere in [
            r#""method":"notifications/tasks","params":{"taskId":"t-1"}"#,
            r#""method":"notifications/message","params":{"taskId":"t-1"}"#,
            r#""id":1,"result":{"taskId":"t-1"}"#,
        ] {
            assert!(!begun.is_of_another(&other, &server, &frame(elsewhere)), "{elsewhere}");
        }
    }

    #[test]
    fn m12_callers_without_a_key_are_told_apart_by_their_sessions() {
        let keys = Keys::derive(&[7; 32]).unwrap();
        let [one, two] = ["s-1", "s-2"].map(HeaderValue::from_static);
        let server: ServerName = "up".parse().unwrap();
        let begun = Begun::default();
        let all = listing(r#"[{"taskId":"t-1"},{"taskId":"t-2"}]"#);
        let shown = |caller: &Whose<'_>| begun.own_of(caller, &server, &all).unwrap().bytes().clone();
        begun.note(&of(&keys, None, Some(&one)), &server, "t-1");
        begun.note(&of(&keys, None, None), &server, "t-2");
        begun.note(&of(&keys, Some("tg_one"), Some(&one)), &server, "t-2");
        assert_eq!(shown(&of(&keys, None, Some(&one))), listing(r#"[{"taskId":"t-1"}]"#).bytes());
        for stranger in [of(&keys, None, Some(&two)), of(&keys, None, None)] {
            assert_eq!(shown(&stranger), listing("[]").bytes());
        }
        let elsewhere = of(&keys, Some("tg_one"), None);
        assert_eq!(
            shown(&elsewhere),
            listing(r#"[{"taskId":"t-2"}]"#).bytes(),
            "control: a key is one caller anywhere"
        );
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_oldest_goes_first() {
        let keys = Keys::derive(&[7; 32]).unwrap();
        let session = HeaderValue::from_static("s");
        let caller = of(&keys, None, Some(&session));
        let (server, begun): (ServerName, _) = ("up".parse().unwrap(), Begun::default());
        for task in 0..=KEPT_MAX {
            begun.note(&caller, &server, &task.to_string());
            begun.note(&caller, &server, &task.to_string());
        }
        let kept = begun.0.lock();
        assert_eq!((kept.known.len(), kept.order.len()), (KEPT_MAX, KEPT_MAX));
        assert!(
            !kept.known.contains(&caller.mark(&server, "0").unwrap())
                && kept.known.contains(&caller.mark(&server, "1").unwrap())
        );
    }
}
