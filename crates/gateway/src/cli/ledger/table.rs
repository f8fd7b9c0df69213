//! Rows as named cells, and the two forms in which they are written.

use std::io::{self, BufWriter, Write};

use serde_json::{Value, json};
use tollgate_domain::{CallId, ReceiptId};
use tollgate_ledger::{SettlementRow, Transfer};

use super::{Choice, Format};

pub(super) const TRANSFER: &[&str] = &[
    "at",
    "id",
    "kind",
    "resolves",
    "debit",
    "credit",
    "asset",
    "symbol",
    "amount",
    "amount_whole",
    "call_id",
    "note",
];
pub(super) const SETTLEMENT: &[&str] = &[
    "claimed",
    "updated",
    "call_id",
    "state",
    "rail",
    "attempt",
    "caller",
    "payer",
    "server",
    "tool",
    "asset",
    "symbol",
    "amount",
    "amount_whole",
    "refunded",
    "refunded_whole",
    "payment_ref",
    "reason",
    "receipt_id",
];
pub(super) const RECEIPT: &[&str] = &["id", "call_id", "envelope"];

type Cells = Vec<(&'static str, Value)>;

/// The cells of a transfer: the amount in atomic units, and the same in whole tokens.
pub(super) fn transfer(choice: &Choice, row: &Transfer) -> Cells {
    vec![
        ("at", json!(row.at.to_string())),
        ("id", json!(row.id)),
        ("kind", json!(row.kind.word())),
        ("resolves", json!(row.kind.resolves())),
        ("debit", json!(row.debit.to_string())),
        ("credit", json!(row.credit.to_string())),
        ("asset", json!(row.asset)),
        ("symbol", json!(choice.symbol(&row.asset))),
        ("amount", json!(row.amount)),
        ("amount_whole", json!(choice.whole(&row.asset, row.amount))),
        ("call_id", json!(row.call)),
        ("note", json!(row.note)),
    ]
}

/// The cells of a settlement. The proof of its payment stays where it is: it may be worth money.
pub(super) fn settlement(choice: &Choice, row: &SettlementRow) -> Cells {
    vec![
        ("claimed", json!(row.claimed.to_string())),
        ("updated", json!(row.updated.to_string())),
        ("call_id", json!(row.call)),
        ("state", json!(row.state.word())),
        ("rail", json!(row.key.rail())),
        ("attempt", json!(row.attempt)),
        ("caller", json!(row.caller)),
        ("payer", json!(row.payer)),
        ("server", json!(row.binding.tool.server)),
        ("tool", json!(row.binding.tool.tool)),
        ("asset", json!(row.asset)),
        ("symbol", json!(choice.symbol(&row.asset))),
        ("amount", json!(row.amount)),
        ("amount_whole", json!(choice.whole(&row.asset, row.amount))),
        // Without what is not kept, the amounts of what is settled would add up to more than was earned.
        ("refunded", json!(row.refunded)),
        ("refunded_whole", json!(choice.whole(&row.asset, row.refunded))),
        ("payment_ref", json!(row.reference)),
        ("reason", json!(row.reason)),
        ("receipt_id", json!(row.receipt)),
    ]
}

/// The cells of a receipt.
pub(super) fn receipt(id: &ReceiptId, call: &CallId, envelope: &str) -> Cells {
    let envelope = serde_json::from_str(envelope).unwrap_or_else(|_| json!(envelope));
    vec![("id", json!(id)), ("call_id", json!(call)), ("envelope", envelope)]
}

/// Cells as one object.
pub(super) fn object(cells: Cells) -> Value {
    Value::Object(cells.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Rows on their way to standard output.
pub(super) struct Sheet<W: Write = BufWriter<io::Stdout>> {
    format: Format,
    out: W,
    /// Whether whoever reads is still there: one who is not ends the output, not the command.
    is_read: bool,
}

impl Sheet {
    /// Begins on standard output.
    pub(super) fn begin(format: Format, names: &[&str]) -> io::Result<Self> {
        Ok(Self::on(BufWriter::new(io::stdout()), format, names))
    }
}

impl<W: Write> Sheet<W> {
    pub(super) fn on(out: W, format: Format, names: &[&str]) -> Self {
        let mut sheet = Self { format, out, is_read: true };
        if format == Format::Csv {
            sheet.write(&line(names.iter().map(|name| (*name).to_owned())));
        }
        sheet
    }

    /// Writes a row; its cells come in the order of the names.
    pub(super) fn row(&mut self, cells: Cells) {
        let text = match self.format {
            Format::Jsonl => format!("{}\n", object(cells)),
            Format::Csv => line(cells.into_iter().map(|(_, value)| match value {
                Value::Null => String::new(),
                Value::String(text) => text,
                other => other.to_string(),
            })),
        };
        self.write(&text);
    }

    fn write(&mut self, text: &str) {
        if self.is_read {
            self.is_read = self.out.write_all(text.as_bytes()).is_ok();
        }
    }
}

impl<W: Write> Drop for Sheet<W> {
    fn drop(&mut self) {
        if self.is_read {
            drop(self.out.flush());
        }
    }
}

/// A line of RFC 4180. A cell that a spreadsheet would take for a formula (a note, a wallet's own words) is no number and gets
/// an apostrophe in front.
fn line(cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<String> = cells.map(cell).collect();
    format!("{}\r\n", cells.join(","))
}

fn cell(text: String) -> String {
    let text = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text };
    if text.contains([',', '"', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}
