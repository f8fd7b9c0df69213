//! Several MCP servers as one: whose name is whose, and how many answers become one.
//!
//! Owns the [`Names`] of the federated door, merged lists with their [cursors](Cursor), merged introductions, the sealed
//! [`Session`], ids of requests and tasks that say where they came from, and the [`Translator`] that puts a server's message
//! into the names of the door.
//!
//! Never: I/O, a clock, randomness, money. It keeps no state: what a later request needs travels with the client, so that any
//! gateway with the same secret can answer it. What it does not change keeps its bytes.
//!
//! ```
//! use tollgate_federation::{Names, Separator};
//!
//! let servers = ["files".parse()?, "web".parse()?];
//! let names = Names::new(Separator::default(), servers.clone(), None);
//! assert_eq!(names.public(&servers[1], "fetch"), "web__fetch");
//! assert_eq!(names.resolve("web__fetch"), Some((&servers[1], "fetch")));
//! assert_eq!(names.resolve("fetch"), None);
//! assert_eq!(names.public_uri(&servers[0], "ui://chart/1"), "ui://files__chart/1");
//! # Ok::<(), tollgate_domain::NameError>(())
//! ```
#![forbid(unsafe_code)]

mod cursor;
mod event_id;
mod handles;
mod ids;
mod introductions;
mod keys;
mod lists;
mod names;
mod selection;
mod session;
mod subscriptions;
mod translate;

pub use cursor::{Cursor, CursorError};
pub use event_id::EventId;
pub use handles::{Handle, Handles};
pub use ids::{TaskIds, foreign_id, home_id};
pub use introductions::{Features, Introduction, discovered, initialized, server_info};
pub use keys::{Keys, Principal};
pub use lists::{Failure, Kind, ListError, OTHER_ERA, Page, Part, merged, page};
pub use names::{Names, Separator, SeparatorError};
pub use selection::{Pattern, PatternError};
pub use session::{Member, SEALED_BYTES_MAX, Session, SessionError};
pub use subscriptions::{acknowledged, ended, tools_changed};
pub use translate::{Translator, home_progress};
