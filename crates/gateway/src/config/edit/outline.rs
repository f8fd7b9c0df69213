//! Where things stand in the text of a configuration: its root, `servers`, and each server.

use granit_parser::{Event, Options, Parser, Span, StructureStyle};

use super::EditError;

/// What a step of indentation is where nothing shows another.
const STEP: usize = 2;

/// How a mapping is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Style {
    Block,
    Flow,
}

/// One key and its value, by their places.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_start: usize,
    pub(super) key_end: usize,
    /// Behind the last byte of the value; behind the colon where it has none.
    pub(super) end: usize,
    value: Node,
}

/// A mapping by its places.
#[derive(Clone, Debug)]
pub(super) struct Mapping {
    pub(super) style: Style,
    pub(super) start: usize,
    pub(super) entries: Vec<Entry>,
    /// The indentation of what is inside an entry.
    pub(super) step: usize,
}

#[derive(Clone, Debug)]
enum Node {
    Mapping(Mapping),
    /// Nothing, or a word for it.
    Nothing,
    Other,
}

/// The places of a whole text.
#[derive(Debug)]
pub(super) struct Outline {
    pub(super) root_style: Option<Style>,
    pub(super) root_start: Option<usize>,
    pub(super) root_indent: usize,
    pub(super) root_entries: usize,
    /// One step of indentation.
    pub(super) step: usize,
    /// `None`: there is no such key. `Some(None)`: it has no value.
    pub(super) servers: Option<Option<Mapping>>,
    entry: Option<Entry>,
}

impl Outline {
    pub(super) fn of(text: &str) -> Result<Self, EditError> {
        // Places count from behind a byte order mark.
        let (bare, skipped) = match text.strip_prefix('\u{feff}') {
            Some(bare) => (bare, '\u{feff}'.len_utf8()),
            None => (text, 0),
        };
        let mut options = Options::default();
        options.set_emit_comments(false);
        let mut reader =
            Reader { parser: Parser::new_from_str_with_options(bare, options), text: bare, last: 0 };
        let root = reader.document()?;
        let mut outline = Self {
            root_style: None,
            root_start: None,
            root_indent: 0,
            root_entries: 0,
            step: STEP,
            servers: None,
            entry: None,
        };
        let root = match root {
            Node::Mapping(root) => root,
            Node::Nothing => return Ok(outline),
            Node::Other => return Err(EditError::Shape("it is not a mapping of settings")),
        };
        outline.root_style = Some(root.style);
        outline.root_start = Some(root.start + skipped);
        outline.root_entries = root.entries.len();
        if root.style == Style::Block
            && let Some(first) = root.entries.first()
        {
            outline.root_indent = super::column(bare, first.key_start);
            outline.step = steps(bare, &root).unwrap_or(STEP);
        }
        let Some(mut entry) = root.entries.into_iter().find(|entry| entry.key == "servers") else {
            return Ok(outline);
        };
        entry.moved(skipped);
        outline.servers = Some(match entry.value.clone() {
            Node::Mapping(mut servers) => {
                servers.step = servers.step.max(1);
                Some(servers)
            }
            Node::Nothing => None,
            Node::Other => return Err(EditError::Shape("`servers` is not written as a mapping")),
        });
        outline.entry = Some(entry);
        Ok(outline)
    }

    /// The entry of `servers` itself.
    pub(super) const fn servers_entry(&self) -> Option<&Entry> {
        self.entry.as_ref()
    }
}

impl Entry {
    fn moved(&mut self, by: usize) {
        self.key_start += by;
        self.key_end += by;
        self.end += by;
        if let Node::Mapping(mapping) = &mut self.value {
            mapping.start += by;
            mapping.entries.iter_mut().for_each(|entry| entry.moved(by));
        }
    }
}

/// The indentation of the first block mapping inside another.
fn steps(text: &str, mapping: &Mapping) -> Option<usize> {
    mapping.entries.iter().find_map(|entry| {
        let Node::Mapping(inner) = &entry.value else { return None };
        let first = inner.entries.first().filter(|_| inner.style == Style::Block)?;
        let (outer, inner) = (super::column(text, entry.key_start), super::column(text, first.key_start));
        inner.checked_sub(outer).filter(|step| *step > 0)
    })
}

struct Reader<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    text: &'a str,
    /// Behind the last byte of content so far.
    last: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), EditError> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(EditError::Yaml(error.to_string())),
            None => Err(EditError::Yaml("it breaks off".to_owned())),
        }
    }

    fn document(&mut self) -> Result<Node, EditError> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(Node::Nothing),
                Event::StreamStart | Event::DocumentStart(..) => {}
                event => {
                    let root = self.node(event, span)?;
                    self.ends()?;
                    return Ok(root);
                }
            }
        }
    }

    /// A second document would be lost on the reader of settings.
    fn ends(&mut self) -> Result<(), EditError> {
        loop {
            match self.next()?.0 {
                Event::StreamEnd => return Ok(()),
                Event::DocumentEnd => {}
                _ => return Err(EditError::Shape("it has several documents")),
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node, EditError> {
        let (start, end) = (self.at(span.start)?, self.at(span.end)?);
        match event {
            Event::Scalar(text, ..) => {
                if end > start {
                    self.last = end;
                }
                let is_nothing = start == end || ["", "~", "null"].contains(&&*text);
                Ok(if is_nothing { Node::Nothing } else { Node::Other })
            }
            Event::Alias(_) => {
                self.last = end;
                Ok(Node::Other)
            }
            Event::SequenceStart(style, ..) => loop {
                let (event, span) = self.next()?;
                if event == Event::SequenceEnd {
                    self.closed(style, span)?;
                    return Ok(Node::Other);
                }
                self.node(event, span)?;
            },
            Event::MappingStart(style, ..) => self.mapping(style, start),
            _ => Err(EditError::NotKept),
        }
    }

    fn mapping(&mut self, written: StructureStyle, start: usize) -> Result<Node, EditError> {
        let style = if written == StructureStyle::Flow { Style::Flow } else { Style::Block };
        let mut mapping = Mapping { style, start, entries: Vec::new(), step: STEP };
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                self.closed(written, span)?;
                mapping.step = steps(self.text, &mapping).unwrap_or(STEP);
                return Ok(Node::Mapping(mapping));
            }
            let key = match &event {
                Event::Scalar(text, ..) => text.to_string(),
                _ => String::new(),
            };
            let key_start = self.at(span.start)?;
            self.node(event, span)?;
            let key_end = self.last.max(key_start);
            // A value that is not there has its place where the next thing begins: its end is the colon.
            self.last = self.colon(key_end);
            let (event, span) = self.next()?;
            let value = self.node(event, span)?;
            mapping.entries.push(Entry { key, key_start, key_end, end: self.last, value });
        }
    }

    /// Behind the colon of a key.
    fn colon(&self, key_end: usize) -> usize {
        let rest = self.text.get(key_end..).unwrap_or_default();
        let inner = rest.trim_start_matches([' ', '\t']);
        if inner.starts_with(':') { key_end + (rest.len() - inner.len()) + 1 } else { key_end }
    }

    /// The end of a block has no text of its own.
    fn closed(&mut self, style: StructureStyle, span: Span) -> Result<(), EditError> {
        if style == StructureStyle::Flow {
            self.last = self.at(span.end)?;
        }
        Ok(())
    }

    fn at(&self, marker: granit_parser::Marker) -> Result<usize, EditError> {
        let at = marker.byte_offset().unwrap_or_else(|| {
            self.text.char_indices().nth(marker.index()).map_or(self.text.len(), |(at, _)| at)
        });
        if self.text.is_char_boundary(at) { Ok(at) } else { Err(EditError::NotKept) }
    }
}
