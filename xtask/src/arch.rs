//! `cargo xtask arch`: the code has no arrow that the drawing does not have.
//!
//! Owns the one table of which room may use which, and which outside crates a room must never learn of. The same
//! drawing stands in ARCHITECTURE.md and is compared with this one. Changes nothing.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

use crate::sources;

/// One room of the house: a crate, where its arrows may point, and what it must never depend on.
struct Room {
    floor: u8,
    name: &'static str,
    arrows: &'static [&'static str],
    never: &'static [&'static str],
}

/// What does I/O or keeps time: nothing pure may depend on it.
const IO: &[&str] = &[
    "tokio",
    "tokio-util",
    "hyper",
    "hyper-util",
    "axum",
    "reqwest",
    "rusqlite",
    "getrandom",
    "fs4",
    "nix",
    "clap",
];
/// What an engine whose adapters wait for a remote system must not bring: a socket of its own. It goes through `egress`.
const SOCKETS: &[&str] =
    &["hyper", "hyper-util", "axum", "reqwest", "rusqlite", "getrandom", "fs4", "nix", "clap", "anyhow"];
/// Databases and the edge of the process, for rooms that do I/O of their own.
const EDGE: &[&str] = &["axum", "rusqlite", "getrandom", "fs4", "clap", "anyhow"];

/// The drawing, from the top floor down. ARCHITECTURE.md shows the same.
const DRAWING: &[Room] = &[
    Room {
        floor: 4,
        name: "gateway",
        arrows: &[
            "till",
            "gate",
            "exec",
            "payer",
            "store",
            "federation",
            "registry",
            "ledger",
            "risk",
            "attest",
            "rails",
            "trust",
            "domain",
            "mcp",
            "egress",
        ],
        never: &[],
    },
    Room {
        floor: 4,
        name: "tollgate",
        arrows: &["till", "gate", "store", "ledger", "risk", "attest", "rails", "domain", "mcp"],
        never: &["hyper", "hyper-util", "reqwest", "rusqlite", "getrandom", "fs4", "nix", "clap", "anyhow"],
    },
    Room {
        floor: 3,
        name: "till",
        arrows: &["gate", "store", "ledger", "risk", "attest", "rails", "trust", "domain", "egress"],
        never: &["hyper", "hyper-util", "axum", "reqwest", "rusqlite", "clap", "anyhow"],
    },
    Room {
        floor: 2,
        name: "gate",
        arrows: &["ledger", "rails", "trust", "risk", "attest", "mcp", "domain"],
        never: IO,
    },
    Room { floor: 2, name: "exec", arrows: &["risk", "mcp", "openapi", "domain", "egress"], never: EDGE },
    Room { floor: 2, name: "payer", arrows: &["rails", "mcp", "domain", "egress"], never: EDGE },
    Room {
        floor: 2,
        name: "store",
        arrows: &["registry", "ledger", "rails", "attest", "domain"],
        never: &["hyper", "hyper-util", "axum", "reqwest", "getrandom", "clap", "anyhow"],
    },
    Room { floor: 1, name: "federation", arrows: &["mcp", "domain"], never: IO },
    Room { floor: 1, name: "registry", arrows: &["mcp", "domain"], never: IO },
    Room { floor: 1, name: "ledger", arrows: &["domain"], never: IO },
    Room { floor: 1, name: "risk", arrows: &["domain"], never: IO },
    Room { floor: 1, name: "attest", arrows: &["domain"], never: IO },
    Room { floor: 1, name: "rails", arrows: &["domain", "egress"], never: SOCKETS },
    Room { floor: 1, name: "trust", arrows: &["domain"], never: IO },
    Room { floor: 0, name: "domain", arrows: &[], never: IO },
    Room { floor: 0, name: "mcp", arrows: &[], never: IO },
    Room { floor: 0, name: "openapi", arrows: &[], never: IO },
    Room { floor: 0, name: "egress", arrows: &[], never: EDGE },
];

/// Development rooms: they may use any room, and rooms use them only for their tests.
const DEVELOPMENT: &[&str] = &["fuzz", "testkit", "xtask"];

/// The line in ARCHITECTURE.md behind which the drawing stands.
const MARKER: &str = "<!-- The drawing that `cargo xtask arch` checks. -->";

/// How a crate depends on another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Use {
    /// In what is shipped (normal and build dependencies).
    Shipped,
    /// In tests only.
    Tests,
}

/// The dependencies of the workspace's crates as Cargo resolves the manifests: (crate, dependency, use).
///
/// Crate names are without the `tollgate-` prefix; outside crates keep their names.
#[derive(Clone, Debug)]
struct Graph {
    rooms: BTreeSet<String>,
    edges: BTreeSet<(String, String, Use)>,
}

/// One way in which the code differs from the drawing.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Difference {
    /// A crate of the workspace that nobody drew.
    UndrawnRoom(String),
    /// A drawn room that is no crate of the workspace.
    EmptyRoom(&'static str),
    /// A dependency between two rooms that nobody drew.
    UndrawnArrow { from: String, to: String, usage: Use },
    /// A room depends on an outside crate of its "never" list.
    Forbidden { room: &'static str, dependency: String },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UndrawnRoom(name) => write!(f, "crate {name} is not in the drawing"),
            Self::EmptyRoom(name) => {
                write!(f, "the drawing shows {name}, but the workspace has no such crate")
            }
            Self::UndrawnArrow { from, to, usage: Use::Shipped } => write!(f, "{from} ─► {to} is not drawn"),
            Self::UndrawnArrow { from, to, usage: Use::Tests } => {
                write!(f, "{from} ─► {to} is not drawn, and tests follow the same arrows (or use testkit)")
            }
            Self::Forbidden { room, dependency } => write!(f, "{room} must never depend on {dependency}"),
        }
    }
}

/// Checks the workspace that contains the current folder.
///
/// # Errors
/// When Cargo cannot read the workspace, or lists every difference from the drawing.
pub(crate) fn check() -> Result<()> {
    let metadata =
        MetadataCommand::new().no_deps().exec().context("read the workspace with cargo metadata")?;
    let root = metadata.workspace_root.as_std_path();
    let mut problems: Vec<String> =
        differences(&Graph::of(&metadata)).iter().map(ToString::to_string).collect();
    problems.extend(drawing_problem(root)?);
    problems.extend(sources::strangers_to_exec(root)?);
    if problems.is_empty() {
        eprintln!("arch: {} rooms, no undrawn arrow", DRAWING.len());
        return Ok(());
    }
    bail!(
        "the code differs from the drawing (xtask/src/arch.rs, ARCHITECTURE.md):\n  {}",
        problems.join("\n  ")
    )
}

impl Graph {
    fn of(metadata: &Metadata) -> Self {
        let packages = metadata.workspace_packages();
        let rooms = packages.iter().map(|package| room_of(&package.name)).collect();
        let edges = packages
            .iter()
            .flat_map(|package| package.dependencies.iter().map(move |dependency| (package, dependency)))
            .map(|(package, dependency)| {
                let usage =
                    if dependency.kind == DependencyKind::Development { Use::Tests } else { Use::Shipped };
                (room_of(&package.name), room_of(&dependency.name), usage)
            })
            .collect();
        Self { rooms, edges }
    }
}

/// The room's name of a crate of ours; outside crates keep their name.
fn room_of(package: &str) -> String {
    package.strip_prefix("tollgate-").unwrap_or(package).to_owned()
}

fn differences(graph: &Graph) -> Vec<Difference> {
    let mut found = Vec::new();
    for name in &graph.rooms {
        if room(name).is_none() && !DEVELOPMENT.contains(&name.as_str()) {
            found.push(Difference::UndrawnRoom(name.clone()));
        }
    }
    for drawn in DRAWING {
        if !graph.rooms.contains(drawn.name) {
            found.push(Difference::EmptyRoom(drawn.name));
        }
    }
    for (from, to, usage) in &graph.edges {
        let Some(drawn) = room(from) else { continue };
        if !graph.rooms.contains(to) {
            if *usage == Use::Shipped && drawn.never.contains(&to.as_str()) {
                found.push(Difference::Forbidden { room: drawn.name, dependency: to.clone() });
            }
            continue;
        }
        let for_tests = *usage == Use::Tests && to == "testkit";
        if !drawn.arrows.contains(&to.as_str()) && !for_tests {
            found.push(Difference::UndrawnArrow { from: from.clone(), to: to.clone(), usage: *usage });
        }
    }
    found
}

fn room(name: &str) -> Option<&'static Room> {
    DRAWING.iter().find(|room| room.name == name)
}

/// The drawing as ARCHITECTURE.md shows it.
fn drawing() -> String {
    let mut text = String::new();
    let mut floor = None;
    for room in DRAWING {
        let label =
            if floor == Some(room.floor) { "        ".to_owned() } else { format!("floor {} ", room.floor) };
        floor = Some(room.floor);
        let arrows = if room.arrows.is_empty() { "—".to_owned() } else { room.arrows.join(" ") };
        text.push_str(&format!("{label}  {:<8} ─► {arrows}\n", room.name));
    }
    text
}

/// Whether ARCHITECTURE.md shows another drawing.
fn drawing_problem(root: &Path) -> Result<Option<String>> {
    let path = root.join("ARCHITECTURE.md");
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let expected = format!("{MARKER}\n```text\n{}```\n", drawing());
    Ok((!text.contains(&expected)).then(|| format!("ARCHITECTURE.md must show this drawing:\n\n{expected}")))
}

#[cfg(test)]
mod tests;
