//! Another session in the place of one that its server has forgotten, because it or a part of it was started anew: a client on
//! standard streams has no way to see that, and would have to be started anew itself.

use tollgate_mcp::{Frame, RequestId, json, reply};

use super::Shared;
use super::exchange::{Exchanged, With};
use super::far::Session;
use crate::request;

/// What a client may have kept, by the capability and what is said when it changed.
const KEPT: [(&str, &str); 3] = [
    ("tools", "notifications/tools/list_changed"),
    ("resources", "notifications/resources/list_changed"),
    ("prompts", "notifications/prompts/list_changed"),
];

impl Shared {
    /// Opens a session as the client opened the one that is `gone`, for its request `id`, and has what the server says by itself come
    /// from it. Several requests that find the same session gone share the next one. `false`: there is none to be had.
    pub(super) async fn reopen(&self, id: &RequestId, gone: &Session) -> bool {
        let _turn = self.reopening.lock().await;
        if self.far.session().is_some_and(|session| session.id != gone.id) {
            return true;
        }
        let Some(opening) = self.far.opening() else { return false };
        let Ok(opening) = Frame::parse(opening.with_id(&self.fresh_id())) else { return false };
        let Exchanged::Answer(answer) = Box::pin(self.exchange(id, &opening, With::default())).await else {
            return false;
        };
        let is_open = self.far.session().is_some_and(|session| session.id != gone.id);
        let Some(result) = answer.result().filter(|_| is_open) else { return false };
        let accepted = match Frame::parse(request::initialized()) {
            Ok(initialized) => self.pass(&initialized).await,
            Err(_) => false,
        };
        if !accepted {
            return false;
        }
        tracing::info!("the server had ended the session; another one is open in its place");
        self.renewed.notify_one();
        for (capability, changed) in KEPT {
            let told = json::lookup(&result, &["capabilities", capability, "listChanged"]);
            if matches!(told, Ok(Some(b"true"))) {
                self.say(&reply::notification(changed, None)).await;
            }
        }
        true
    }
}
