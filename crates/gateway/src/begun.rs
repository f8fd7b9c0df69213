//! Which tasks callers have begun, for lists of them (`tasks/list`, 2025-11-25).
//!
//! To a server every caller is the gateway, so where it does not keep its sessions apart it lists the tasks of all of them; and an id
//! that leaves a door is given its tag for whoever reads it. So of a list everybody gets what this gateway has given to them, or was
//! asked about by them with the tag (M12). What it does not remember is left out, never shown: an id that a caller has goes on to work.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use parking_lot::Mutex;
use tollgate_domain::ServerName;
use tollgate_federation::TaskIds;
use tollgate_mcp::{Frame, raw};

/// How many tasks are remembered; the oldest are forgotten first. Six megabytes at most.
const KEPT_MAX: usize = 65_536;

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
    pub fn note(&self, caller: &TaskIds<'_>, server: &ServerName, task: &str) {
        let mark = caller.mark(server, task);
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

    /// The task that an answer announces to this caller, where it does.
    pub fn note_answer(&self, caller: &TaskIds<'_>, server: &ServerName, answer: &Frame) {
        let Some(result) = answer.result() else { return };
        let task = raw::member(&result, "task").and_then(|task| raw::text(&task, "taskId"));
        if let Some(task) = task {
            self.note(caller, server, &task);
        }
    }

    /// Whether a raw task of a list is this caller's.
    pub fn is_own(&self, caller: &TaskIds<'_>, server: &ServerName, task: &Bytes) -> bool {
        let id = raw::text(task, "taskId");
        id.is_some_and(|id| self.0.lock().known.contains(&caller.mark(server, &id)))
    }

    /// A list of tasks without those of others; `None` where the answer is none, or stays as it is.
    pub fn own_of(&self, caller: &TaskIds<'_>, server: &ServerName, answer: &Frame) -> Option<Frame> {
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

    fn listing(tasks: &str) -> Frame {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tasks":{tasks},"nextCursor":"n"}}}}"#);
        Frame::parse_upstream(Bytes::from(text)).unwrap()
    }

    #[test]
    fn m12_a_list_of_tasks_has_its_callers_own_alone() {
        let keys = Keys::derive(&[7; 32]).unwrap();
        let caller = |key: &str| TaskIds { keys: &keys, principal: Principal::of(Some(key)) };
        let (one, other) = (caller("tg_one"), caller("tg_two"));
        let (up, elsewhere): (ServerName, ServerName) = ("up".parse().unwrap(), "b".parse().unwrap());
        let begun = Begun::default();
        let made = r#"{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"t-1","status":"working"}}}"#;
        begun.note_answer(&one, &up, &Frame::parse_upstream(Bytes::from(made)).unwrap());
        begun.note(&other, &up, "t-2");

        let all = listing(r#"[{"taskId":"t-1"}, {"taskId":"t-2","x":1},{"taskId":"t-3"}]"#);
        let shown = |caller: &TaskIds<'_>, server: &ServerName| {
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
    fn what_is_remembered_is_bounded_and_the_oldest_goes_first() {
        let keys = Keys::derive(&[7; 32]).unwrap();
        let caller = TaskIds { keys: &keys, principal: Principal::of(None) };
        let (server, begun): (ServerName, _) = ("up".parse().unwrap(), Begun::default());
        for task in 0..=KEPT_MAX {
            begun.note(&caller, &server, &task.to_string());
            begun.note(&caller, &server, &task.to_string());
        }
        let kept = begun.0.lock();
        assert_eq!((kept.known.len(), kept.order.len()), (KEPT_MAX, KEPT_MAX));
        assert!(
            !kept.known.contains(&caller.mark(&server, "0"))
                && kept.known.contains(&caller.mark(&server, "1"))
        );
    }
}
