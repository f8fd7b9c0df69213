//! What the mock upstream offers and how each tool behaves.

use std::time::Duration;

use serde_json::{Value, json};

/// What a tool does when it is called.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Answers with its arguments: their exact bytes as text, and as `structuredContent.echo`.
    Echo,
    /// Answers with a text.
    Text(String),
    /// Answers with this result object.
    Result(Value),
    /// Answers with `isError: true` and a text.
    Fail(String),
    /// Answers with a JSON-RPC error.
    Error {
        /// Its code.
        code: i64,
        /// Its message.
        message: String,
    },
    /// Answers with this HTTP status and body, whatever they mean.
    Raw {
        /// The status, for example 200 for malformed JSON or 503.
        status: u16,
        /// The content type.
        content_type: String,
        /// The body; `{id}` in it is replaced by the request's id.
        body: String,
    },
    /// Does not answer until [`Journal::release`](super::Journal::release); then as [`Behaviour::Echo`].
    Hang,
    /// Streams `steps` progress notifications, each when [`Journal::step`](super::Journal::step) allows it, then the
    /// result.
    Progress {
        /// How many notifications.
        steps: u32,
    },
    /// Streams so many progress notifications, then the result. Each says in `message` when it was made, in nanoseconds of
    /// [`clock::monotonic_ns`](crate::clock::monotonic_ns).
    Stamped {
        /// How many notifications.
        steps: u32,
        /// How long nothing is sent after each; zero: all at once.
        apart: Duration,
    },
    /// As [`Behaviour::Progress`], but resets the connection instead of sending the result.
    ProgressThenReset {
        /// How many notifications.
        steps: u32,
    },
    /// Answers with a text of so many bytes.
    Huge {
        /// The size of the text.
        bytes: usize,
    },
    /// Answers with a body that has no end before a gibibyte.
    Endless(Endless),
    /// Sends a part of the body that it promised, then closes its sending side and goes on reading.
    HalfClose,
    /// Sends a part of the body that it promised, then resets the connection (RST).
    ResetMidBody,
    /// Sends a part of a chunk, then closes the connection (FIN).
    TruncatedChunk,
    /// Swaps the tool list for this one, announces it, and answers with a text.
    ChangeTools(Vec<Tool>),
}

/// What an answer without an end is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endless {
    /// One JSON text.
    Json,
    /// One event.
    Event,
    /// Progress notifications, one event each.
    Events,
    /// A JSON text that is said to be compressed.
    Compressed,
}

/// A tool of the mock upstream.
#[derive(Clone, Debug)]
pub struct Tool {
    pub(super) name: String,
    pub(super) behaviour: Behaviour,
    pub(super) definition: Value,
}

impl Tool {
    /// A tool that accepts any object.
    #[must_use]
    pub fn new(name: &str, behaviour: Behaviour) -> Self {
        Self::with_schema(name, behaviour, json!({"type": "object"}))
    }

    /// A tool with an input schema.
    #[must_use]
    pub fn with_schema(name: &str, behaviour: Behaviour, input_schema: Value) -> Self {
        let description = format!("The tool {name} of a mock upstream.");
        let definition = json!({"name": name, "description": description, "inputSchema": input_schema});
        Self { name: name.to_owned(), behaviour, definition }
    }

    /// The same with one more member of its definition in `tools/list`, for example `annotations`.
    #[must_use]
    pub fn with_member(mut self, name: &str, value: Value) -> Self {
        if let Some(members) = self.definition.as_object_mut() {
            members.insert(name.to_owned(), value);
        }
        self
    }
}

/// Between events that come one by one: long enough that everybody sleeps again.
const APART: Duration = Duration::from_millis(1);

/// What the mock upstream offers.
#[derive(Clone, Debug)]
pub struct Script {
    pub(super) tools: Vec<Tool>,
    pub(super) sessions: bool,
    pub(super) recorded: bool,
    pub(super) legacy: bool,
    pub(super) modern: bool,
    pub(super) page_tools: usize,
    pub(super) unsent_bytes: Option<u32>,
    pub(super) tasks: Vec<Value>,
}

impl Script {
    /// No tools yet, both eras, legacy sessions, everything recorded.
    #[must_use]
    pub fn new() -> Self {
        Self {
            tools: Vec::new(),
            sessions: true,
            recorded: true,
            legacy: true,
            modern: true,
            page_tools: usize::MAX,
            unsent_bytes: None,
            tasks: Vec::new(),
        }
    }

    /// One tool, `echo`.
    #[must_use]
    pub fn echo() -> Self {
        Self::new().tool("echo", Behaviour::Echo)
    }

    /// For benches: `echo` with an answer of some 350 bytes whatever it is asked, `stream` with a hundred events at once and
    /// `paced` with a few that come one by one, which say when they were made, `hang`, no sessions, no journal.
    #[must_use]
    pub fn bench() -> Self {
        let answer = Behaviour::Text("0123456789abcdef".repeat(17));
        Self::new()
            .tool("echo", answer)
            .tool("stream", Behaviour::Stamped { steps: 99, apart: Duration::ZERO })
            .tool("paced", Behaviour::Stamped { steps: 4, apart: APART })
            .tool("hang", Behaviour::Hang)
            .without_sessions()
            .unrecorded()
    }

    /// One more tool that accepts any object.
    #[must_use]
    pub fn tool(self, name: &str, behaviour: Behaviour) -> Self {
        self.with(Tool::new(name, behaviour))
    }

    /// One more tool.
    #[must_use]
    pub fn with(mut self, tool: Tool) -> Self {
        self.tools.push(tool);
        self
    }

    /// Legacy requests need no session and get none.
    #[must_use]
    pub fn without_sessions(mut self) -> Self {
        self.sessions = false;
        self
    }

    /// The tool list comes in pages of so many tools. The cursor of the second page is the empty string.
    #[must_use]
    pub fn paged(mut self, tools: usize) -> Self {
        self.page_tools = tools;
        self
    }

    /// Calls are counted but not kept: a bench makes millions.
    #[must_use]
    pub fn unrecorded(mut self) -> Self {
        self.recorded = false;
        self
    }

    /// Tasks that it lists to whoever asks for theirs.
    #[must_use]
    pub fn tasks(mut self, tasks: impl IntoIterator<Item = Value>) -> Self {
        self.tasks.extend(tasks);
        self
    }

    /// Of an answer that nobody reads the kernel keeps about so many bytes at this end of a connection (`SO_SNDBUF`), and not the
    /// megabytes that it would: a test has thousands of them.
    #[must_use]
    pub fn unsent(mut self, bytes: u32) -> Self {
        self.unsent_bytes = Some(bytes);
        self
    }

    /// Modern requests are refused as a server that knows no such version does.
    #[must_use]
    pub fn legacy_only(mut self) -> Self {
        self.modern = false;
        self
    }

    /// `initialize` and everything else without the modern `_meta` is refused.
    #[must_use]
    pub fn modern_only(mut self) -> Self {
        self.legacy = false;
        self
    }
}

impl Default for Script {
    fn default() -> Self {
        Self::new()
    }
}
