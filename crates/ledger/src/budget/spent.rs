//! What is left of a caller's budgets, for whoever asks.

use tollgate_domain::{Amount, AssetId, UnixMillis};

use super::{Ask, Counter, NodeKey, Plan, Span, Spender, Usage};
use crate::{LedgerStore, StoreError};

/// One window of one node that bounds a caller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spent {
    /// The node.
    pub node: NodeKey,
    /// The asset.
    pub asset: AssetId,
    /// The span.
    pub span: Span,
    /// The most that may be used; without it the counter only warns.
    pub limit: Option<Amount>,
    /// From how much on somebody is warned.
    pub warn: Option<Amount>,
    /// What is used or reserved in the window that holds now.
    pub used: Amount,
    /// When all of it may be spent again.
    pub resets: UnixMillis,
}

impl Spent {
    /// What may still be spent; `None` where nothing bounds it.
    pub fn left(&self) -> Option<Amount> {
        Some(self.limit?.checked_sub(self.used).unwrap_or_default())
    }
}

/// How much of each window is used now; `usages` are what the counters of [`Ask::counters`] say, in their order.
pub fn spent(ask: &Ask, asset: &AssetId, usages: &[Option<Usage>], now: UnixMillis) -> Vec<Spent> {
    let known = usages.iter().copied().chain(std::iter::repeat(None));
    let line = |((counter, _, counted), usage): ((Counter, _, super::Counted), Option<Usage>)| {
        let usage = Usage::at(usage, counter.span, now, ask.calendar);
        Spent {
            node: counter.node,
            asset: counter.asset,
            span: counter.span,
            limit: counted.limit,
            warn: counted.warn,
            used: usage.used,
            resets: usage.resets(counter.span, ask.calendar),
        }
    };
    ask.counters(asset).zip(known).map(line).collect()
}

/// What bounds a spender whatever it calls, in each of these assets, and how much of it is used.
///
/// # Errors
/// When the books cannot be read.
pub async fn spending<S: LedgerStore>(
    store: &S,
    plan: &Plan,
    spender: &Spender<'_>,
    assets: &[AssetId],
    now: UnixMillis,
) -> Result<Vec<Spent>, StoreError> {
    let mut all = Vec::new();
    for asset in assets {
        let ask = plan.ask(spender, asset);
        let counters = ask.counters(asset).map(|(counter, _, _)| counter).collect();
        let usages = store.usages(counters).await?;
        all.extend(spent(&ask, asset, &usages, now));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::{Counted, Node};

    #[test]
    fn what_is_left_is_told_of_every_window_in_order() {
        let asset: AssetId = "lightning:regtest/msat".parse().unwrap();
        let counted = |span, limit: Option<u128>| Counted {
            span,
            limit: limit.map(Amount::new),
            warn: Some(Amount::new(9)),
        };
        let node = Node {
            key: NodeKey::new("acme", None),
            per_call: None,
            approve_above: None,
            counted: vec![
                counted(Span::Hour, Some(10)),
                counted(Span::Day, Some(10)),
                counted(Span::Month, None),
            ],
        };
        let ask = Ask { nodes: vec![node], ..Ask::default() };
        let now = UnixMillis::new(1_795_737_600_000);
        let used = |used| Some(Usage { start: now, last: now, used: Amount::new(used) });
        let told = spent(&ask, &asset, &[used(4), used(12)], now);
        let lines: Vec<_> =
            told.iter().map(|line| (line.span, line.used.get(), line.left().map(Amount::get))).collect();
        assert_eq!(lines, [(Span::Hour, 4, Some(6)), (Span::Day, 12, Some(0)), (Span::Month, 0, None)]);
        assert!(told.iter().all(|line| line.asset == asset && line.warn == Some(Amount::new(9))));
    }
}
