//! Calls by tool and outcome, for a bounded number of tools.
//!
//! A table with open addressing whose places are filled once and never emptied: finding a tool's counters takes a hash and
//! a comparison, no lock and no allocation.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use tollgate_domain::ToolRef;

use super::instrument::Counter;
use super::outcome::{self, OUTCOMES};

/// How many tools are counted under their own name, the first that are called; the rest is `other`.
pub const TOOLS_MAX: usize = 256;
/// Twice as many places, so that a tool stands near where it belongs.
const PLACES: usize = 2 * TOOLS_MAX;
/// How far a tool is looked for before it counts as `other`.
const STEPS_MAX: usize = 16;

/// The counters of all tools.
#[derive(Debug)]
pub struct ToolTable {
    places: Box<[OnceLock<Tool>]>,
    taken: AtomicUsize,
    other: Outcomes,
}

#[derive(Debug)]
struct Tool {
    tool: ToolRef,
    outcomes: Outcomes,
}

/// One counter per word.
#[derive(Debug)]
struct Outcomes([Counter; OUTCOMES]);

impl Default for Outcomes {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl Outcomes {
    fn increment(&self, word: &str) {
        if let Some(counter) = outcome::number(word).and_then(|number| self.0.get(number)) {
            counter.increment();
        }
    }
}

impl Default for ToolTable {
    fn default() -> Self {
        let places = (0..PLACES).map(|_| OnceLock::new()).collect();
        Self { places, taken: AtomicUsize::new(0), other: Outcomes::default() }
    }
}

impl ToolTable {
    /// Counts one call. `tool` is one that the catalogue knows: names that only a caller said must not become labels.
    pub fn count(&self, tool: Option<&ToolRef>, word: &str) {
        let own = tool.and_then(|tool| self.place(tool));
        own.map_or(&self.other, |tool| &tool.outcomes).increment(word);
    }

    /// Every count that is not zero: the tool (`None`: other), the word, how many.
    pub fn counts(&self) -> impl Iterator<Item = (Option<&ToolRef>, &'static str, u64)> {
        let tools = self.places.iter().filter_map(OnceLock::get);
        let all = tools.map(|tool| (Some(&tool.tool), &tool.outcomes)).chain([(None, &self.other)]);
        all.flat_map(|(tool, outcomes)| {
            let counted = outcome::words().zip(&outcomes.0).map(|(word, counter)| (word, counter.get()));
            counted.filter(|(_, count)| *count > 0).map(move |(word, count)| (tool, word, count))
        })
    }

    /// How many calls of any tool ended with this word.
    pub fn total(&self, word: &str) -> u64 {
        self.counts().filter(|(_, counted, _)| *counted == word).map(|(_, _, count)| count).sum()
    }

    fn place(&self, tool: &ToolRef) -> Option<&Tool> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(tool);
        let start = usize::try_from(hash % PLACES as u64).unwrap_or_default();
        for step in 0..STEPS_MAX {
            let place = self.places.get((start + step) % PLACES)?;
            let found = match place.get() {
                Some(found) => found,
                None if self.taken.load(Ordering::Relaxed) >= TOOLS_MAX => return None,
                None => place.get_or_init(|| {
                    self.taken.fetch_add(1, Ordering::Relaxed);
                    Tool { tool: tool.clone(), outcomes: Outcomes::default() }
                }),
            };
            // Another thread may have taken the place for another tool in between.
            if found.tool == *tool {
                return Some(found);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str) -> ToolRef {
        ToolRef { server: "up".parse().unwrap(), tool: name.parse().unwrap() }
    }

    #[test]
    fn tools_past_the_limit_are_counted_together_and_none_is_lost() {
        let table = ToolTable::default();
        let tools: Vec<ToolRef> = (0..3 * TOOLS_MAX).map(|n| tool(&format!("tool_{n}"))).collect();
        for tool in tools.iter().chain(&tools) {
            table.count(Some(tool), "delivered");
        }
        table.count(None, "unknown_tool");
        let own = table.counts().filter(|(tool, _, _)| tool.is_some()).count();
        assert!(own <= TOOLS_MAX && own > TOOLS_MAX / 2, "{own} tools have counters of their own");
        assert!(table.counts().all(|(tool, _, count)| tool.is_none() || count == 2));
        assert_eq!(table.total("delivered"), 6 * u64::try_from(TOOLS_MAX).unwrap());
        assert_eq!(table.total("unknown_tool"), 1);
        assert_eq!(table.total("tool_failed"), 0);
    }

    #[test]
    fn threads_that_meet_a_tool_at_once_count_it_in_one_place() {
        let table = ToolTable::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for n in 0..100 {
                        table.count(Some(&tool(&format!("tool_{n}"))), "delivered");
                    }
                });
            }
        });
        assert!(
            table.counts().all(|(tool, word, count)| tool.is_some() && word == "delivered" && count == 4)
        );
        assert_eq!(table.counts().count(), 100);
    }
}
