//! What clients are shown of a server's tools, and that it has changed: a tool that waits for an approval is no news to
//! them, and one that was approved is, though its server has nothing to announce then.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::watch;
use tollgate_domain::{Digest, ServerName, ToolName};
use tollgate_registry::{Definition, Drift};

use super::{Entry, Tools};

/// The tools of one server that may be shown, with what each of them is; `None` before the server was asked.
pub(super) type Shown = Option<BTreeMap<ToolName, Option<Digest>>>;

/// Whom a server's shown tools are told to. It outlives a change of the configuration, as the streams do that listen.
pub(super) type Teller = Arc<watch::Sender<Shown>>;

/// Tells what a list shows, if that is something else than before.
pub(super) fn tell(teller: &Teller, listed: &HashMap<ToolName, Entry>) {
    let may_be_shown = listed.iter().filter(|(_, entry)| entry.listed.withheld.is_none());
    let shown = may_be_shown
        .map(|(tool, entry)| (tool.clone(), entry.definition.as_ref().map(Definition::hash)))
        .collect();
    teller.send_if_modified(|told| {
        let is_news = told.as_ref() != Some(&shown);
        *told = Some(shown);
        is_news
    });
}

/// What one listener is shown of a server's tools.
pub struct ShownTools {
    news: watch::Receiver<Shown>,
    told: Shown,
    is_offered: Box<dyn Fn(&ToolName) -> bool + Send + Sync>,
}

impl Tools {
    /// What a listener is shown of a server's tools from now on, where that is exactly what this gateway has found to be
    /// approved; `None` where a list passes that it has not seen itself.
    pub fn shown_to(
        &self,
        server: &ServerName,
        is_offered: impl Fn(&ToolName) -> bool + Send + Sync + 'static,
    ) -> Option<ShownTools> {
        let tools = self.servers.get(server)?;
        if !tools.is_pinned() || tools.policy.pins.drift != Drift::Block {
            return None;
        }
        let news = tools.shown.subscribe();
        let mut shown = ShownTools { news, told: None, is_offered: Box::new(is_offered) };
        shown.told = shown.now();
        Some(shown)
    }
}

impl std::fmt::Debug for ShownTools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShownTools").field("told", &self.told).finish_non_exhaustive()
    }
}

impl ShownTools {
    fn now(&mut self) -> Shown {
        let shown = self.news.borrow_and_update().clone()?;
        Some(shown.into_iter().filter(|(tool, _)| (self.is_offered)(tool)).collect())
    }

    /// Whether the listener has to be told of a change, and counts as told from now on.
    pub fn has_changed(&mut self) -> bool {
        let now = self.now();
        // The first list that anybody has read is no change.
        let is_news = self.told.is_some() && self.told != now;
        self.told = now;
        is_news
    }

    /// Waits until the listener has to be told of a change. Dropping the future loses nothing.
    pub async fn changed(&mut self) {
        loop {
            if self.news.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            if self.has_changed() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str) -> ToolName {
        name.parse().unwrap()
    }

    #[test]
    fn a_listener_is_told_of_what_it_is_offered_and_once() {
        let teller: Teller = Arc::new(watch::Sender::new(None));
        let listener = |offered: &'static str| {
            let news = teller.subscribe();
            ShownTools {
                news,
                told: None,
                is_offered: Box::new(move |tool| tool.as_str().starts_with(offered)),
            }
        };
        let (mut all, mut some) = (listener(""), listener("a"));
        let shown = |tools: &[(&str, &str)]| {
            let digest = |words: &str| Some(Digest::of(words.as_bytes()));
            Some(tools.iter().map(|(name, words)| (tool(name), digest(words))).collect())
        };
        for (now, all_hear, some_hear) in [
            (shown(&[("a", "1")]), false, false),
            (shown(&[("a", "1"), ("b", "1")]), true, false),
            (shown(&[("a", "2"), ("b", "1")]), true, true),
            (shown(&[("b", "1")]), true, true),
            (shown(&[("b", "1")]), false, false),
        ] {
            teller.send_replace(now.clone());
            assert_eq!((all.has_changed(), some.has_changed()), (all_hear, some_hear), "{now:?}");
            assert!(!all.has_changed() && !some.has_changed(), "once");
        }
    }
}
