//! What clients are shown of a server's tools, and that it has changed: a tool that waits for an approval is no news to
//! them, and one that was approved is, though its server has nothing to announce then.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::watch;
use tollgate_domain::{Digest, ServerName, ToolName};
use tollgate_registry::{Definition, Drift};

use super::{Entry, Tools};

/// The tools of one server, with what each of them is and whether it may be shown; `None` before the server was asked.
pub(super) type Shown = Option<Arc<BTreeMap<ToolName, (Option<Digest>, MayBeShown)>>>;

type MayBeShown = bool;

/// Whom a server's tools are told to. It outlives a change of the configuration, as the streams do that listen.
pub(super) type Teller = Arc<watch::Sender<Shown>>;

/// Tells what a list shows. Who waits is woken if that is something else than before.
pub(super) fn tell(teller: &Teller, listed: &HashMap<ToolName, Entry>) {
    let entries = listed.iter().map(|(tool, entry)| {
        let definition = entry.definition.as_ref().map(Definition::hash);
        (tool.clone(), (definition, entry.listed.withheld.is_none()))
    });
    let now: Shown = Some(Arc::new(entries.collect()));
    teller.send_if_modified(|told| {
        let is_news = told.is_none() || !are_shown_alike(told, &now, |_| true);
        *told = now;
        is_news
    });
}

fn are_shown_alike(one: &Shown, other: &Shown, is_offered: impl Fn(&ToolName) -> bool) -> bool {
    let shown = |list: &Shown| -> Vec<(ToolName, Option<Digest>)> {
        let entries = list.iter().flat_map(|list| list.iter());
        let offered = entries.filter(|(tool, (_, may_be_shown))| *may_be_shown && is_offered(tool));
        offered.map(|(tool, (definition, _))| (tool.clone(), *definition)).collect()
    };
    shown(one) == shown(other)
}

fn are_listed_alike(one: &Shown, other: &Shown) -> bool {
    let listed = |list: &Shown| -> Option<Vec<(ToolName, Option<Digest>)>> {
        let list = list.as_deref()?;
        Some(list.iter().map(|(tool, (definition, _))| (tool.clone(), *definition)).collect())
    };
    listed(one) == listed(other)
}

/// What has changed for one listener since it looked last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// Something that it is shown.
    Shown,
    /// Only what it is not shown.
    Hidden,
    /// Nothing: the list is the one it knew.
    Nothing,
}

/// What one listener is shown of a server's tools.
pub struct ShownTools {
    news: watch::Receiver<Shown>,
    known: Shown,
    /// The listener was told of a change that the server has yet to announce.
    is_ahead: bool,
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
        Some(ShownTools::new(tools.shown.subscribe(), is_offered))
    }
}

impl std::fmt::Debug for ShownTools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShownTools").field("known", &self.known).finish_non_exhaustive()
    }
}

impl ShownTools {
    fn new(
        mut news: watch::Receiver<Shown>,
        is_offered: impl Fn(&ToolName) -> bool + Send + Sync + 'static,
    ) -> Self {
        let known = news.borrow_and_update().clone();
        Self { news, known, is_ahead: false, is_offered: Box::new(is_offered) }
    }

    /// Takes note of the list as it is now. The first list that anybody has read is no change.
    fn look(&mut self) -> Change {
        let now = self.news.borrow_and_update().clone();
        let before = std::mem::replace(&mut self.known, now);
        if before.is_none() || are_shown_alike(&before, &self.known, &self.is_offered) {
            let is_same = before.is_none() || are_listed_alike(&before, &self.known);
            return if is_same { Change::Nothing } else { Change::Hidden };
        }
        // What somebody approved changes what is shown, and not the list: of that the server has nothing to announce.
        self.is_ahead |= !are_listed_alike(&before, &self.known);
        Change::Shown
    }

    /// Whether an announcement of the server is passed on, its list having been read since. It is not where it tells of what
    /// the listener is not shown, or was told before; of a list that is still the same the server says what it likes.
    pub fn is_announcement_news(&mut self) -> bool {
        let was_ahead = std::mem::take(&mut self.is_ahead);
        let change = self.look();
        self.is_ahead = false;
        match change {
            Change::Shown => true,
            Change::Hidden => false,
            Change::Nothing => !was_ahead,
        }
    }

    /// Waits until the listener has to be told of a change. Dropping the future loses nothing.
    pub async fn changed(&mut self) {
        loop {
            if self.news.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            if self.look() == Change::Shown {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(&str, &str, bool)]) -> Shown {
        let entry = |(name, words, may_be_shown): &(&str, &str, bool)| {
            (name.parse().unwrap(), (Some(Digest::of(words.as_bytes())), *may_be_shown))
        };
        Some(Arc::new(entries.iter().map(entry).collect()))
    }

    fn listener(teller: &Teller, offered: &'static str) -> ShownTools {
        ShownTools::new(teller.subscribe(), move |tool| tool.as_str().starts_with(offered))
    }

    #[test]
    fn a_listener_is_told_of_what_it_is_offered_and_once() {
        let teller: Teller = Arc::new(watch::Sender::new(None));
        let (mut all, mut some) = (listener(&teller, ""), listener(&teller, "a"));
        for (now, of_all, of_some) in [
            (list(&[("a", "1", true)]), Change::Nothing, Change::Nothing),
            (list(&[("a", "1", true), ("b", "1", true)]), Change::Shown, Change::Hidden),
            (list(&[("a", "2", true), ("b", "1", true)]), Change::Shown, Change::Shown),
            (list(&[("a", "2", false), ("b", "1", true)]), Change::Shown, Change::Shown),
            (list(&[("a", "3", false), ("b", "1", true)]), Change::Hidden, Change::Hidden),
            (list(&[("b", "1", true)]), Change::Hidden, Change::Hidden),
        ] {
            teller.send_replace(now.clone());
            assert_eq!((all.look(), some.look()), (of_all, of_some), "{now:?}");
            assert_eq!((all.look(), some.look()), (Change::Nothing, Change::Nothing), "once");
        }
    }

    #[tokio::test]
    async fn an_announcement_passes_unless_it_is_of_what_is_hidden_or_was_told() {
        let teller: Teller = Arc::new(watch::Sender::new(list(&[("a", "1", true)])));
        let mut listener = listener(&teller, "");
        assert!(listener.is_announcement_news(), "nothing has changed: the server says what it likes");
        teller.send_replace(list(&[("a", "1", true), ("b", "1", false)]));
        assert!(!listener.is_announcement_news(), "of a tool that waits for an approval");
        assert!(listener.is_announcement_news(), "and says it again");
        teller.send_replace(list(&[("a", "1", true), ("b", "1", true)]));
        listener.changed().await;
        assert!(
            listener.is_announcement_news(),
            "the approval was told, and the server has announced nothing of it"
        );
        teller.send_replace(list(&[("a", "2", true), ("b", "1", true)]));
        listener.changed().await;
        assert!(!listener.is_announcement_news(), "it was told before the server announced it");
        assert!(listener.is_announcement_news());
        teller.send_replace(list(&[("a", "3", true), ("b", "1", true)]));
        assert!(listener.is_announcement_news(), "the server was first");
    }
}
