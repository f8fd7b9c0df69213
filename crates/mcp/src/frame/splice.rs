//! Edits of a message. Each returns new bytes and leaves every byte it does not name as it was; an edit that changes
//! nothing returns the same bytes without a copy.

use bytes::Bytes;

use super::{Frame, FrameError, FrameFault, Kind};
use crate::object::{Edits, Object, members_text};
use crate::request_id::RequestId;

impl Frame {
    /// The message without these members of `_meta`. A `_meta` that loses its last member stays as `{}`.
    pub fn without_meta_keys(&self, keys: &[&str]) -> Bytes {
        self.removing(self.meta.as_ref(), |name| keys.contains(&name))
    }

    /// The message without the members of `_meta` that `doomed` names.
    pub fn without_meta(&self, doomed: impl Fn(&str) -> bool) -> Bytes {
        self.removing(self.meta.as_ref(), doomed)
    }

    /// Both at once: [`Frame::with_id`] and [`Frame::without_meta`].
    pub fn with_id_without_meta(&self, id: &RequestId, doomed: impl Fn(&str) -> bool) -> Bytes {
        let mut edits = Edits::default();
        self.edit_id(id, &mut edits);
        if let Some(meta) = &self.meta {
            meta.edit(&self.body, &[], doomed, &mut edits);
        }
        edits.apply(&self.body)
    }

    /// The message without these top-level members of the arguments of a `tools/call`.
    pub fn without_arguments_members(&self, keys: &[&str]) -> Bytes {
        self.removing(self.arguments.as_ref(), |name| keys.contains(&name))
    }

    fn removing(&self, object: Option<&Object>, doomed: impl Fn(&str) -> bool) -> Bytes {
        let mut edits = Edits::default();
        if let Some(object) = object {
            object.edit(&self.body, &[], doomed, &mut edits);
        }
        edits.apply(&self.body)
    }

    /// The message under another id. A message without an id is unchanged.
    pub fn with_id(&self, id: &RequestId) -> Bytes {
        let mut edits = Edits::default();
        self.edit_id(id, &mut edits);
        edits.apply(&self.body)
    }

    fn edit_id(&self, id: &RequestId, edits: &mut Edits) {
        if let (Some(_), Some(span)) = (&self.id, self.top("id")) {
            edits.replace(span, id.raw().as_bytes());
        }
    }

    /// The message with one member of `params` set to `raw`, a JSON value (`params` is created if need be). Answers are
    /// unchanged.
    pub fn with_param(&self, name: &str, raw: &str) -> Bytes {
        let mut edits = Edits::default();
        match &self.content {
            _ if self.method.is_none() => {}
            Some(params) => params.edit(&self.body, &[(name, raw)], |_| false, &mut edits),
            None => {
                let params = format!("{{{}}}", members_text([(name, raw)].into_iter()));
                self.envelope.edit(&self.body, &[("params", &params)], |_| false, &mut edits);
            }
        }
        edits.apply(&self.body)
    }

    /// The message with one member of `params._meta` set to `raw`, a JSON value (`_meta` and `params` are created if need
    /// be). Answers are unchanged.
    pub fn with_meta_value(&self, key: &str, raw: &str) -> Bytes {
        match &self.meta {
            Some(meta) if self.method.is_some() => {
                let mut edits = Edits::default();
                meta.edit(&self.body, &[(key, raw)], |_| false, &mut edits);
                edits.apply(&self.body)
            }
            _ => self.with_param("_meta", &format!("{{{}}}", members_text([(key, raw)].into_iter()))),
        }
    }

    /// A response with `set` merged into `result._meta` (created if need be) and the members of it that `remove` names
    /// taken out. A name in both is set: a forged value is replaced.
    pub fn with_result_meta(
        &self,
        set: &[(&str, &str)],
        remove: impl Fn(&str) -> bool,
    ) -> Result<Bytes, FrameError> {
        let mut edits = Edits::default();
        match (self.kind, &self.content, &self.meta) {
            (Kind::Response, Some(_), Some(meta)) => meta.edit(&self.body, set, remove, &mut edits),
            (Kind::Response, Some(_), None) if set.is_empty() => {}
            (Kind::Response, Some(result), None) => {
                let meta = format!("{{{}}}", members_text(set.iter().copied()));
                result.edit(&self.body, &[("_meta", &meta)], |_| false, &mut edits);
            }
            _ => return Err(FrameError::new(FrameFault::NoResultObject, self.id.clone())),
        }
        Ok(edits.apply(&self.body))
    }
}
