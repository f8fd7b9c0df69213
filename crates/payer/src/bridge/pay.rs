//! A `tools/call`: its demand to pay stays here, the client sees the answer. One call is paid for once.

use std::time::Duration;

use bytes::Bytes;
use tollgate_mcp::reply::code::HEADER_MISMATCH;
use tollgate_mcp::{Era, Frame, Kind, Limits, RequestId, ToolCallView, reply};

use super::Shared;
use super::doubts::Key;
use super::exchange::{Exchanged, With};
use super::far::era_of;
use super::purse::{Held, Wanted};
use super::refusal;
use crate::answer::Heard;
use crate::demand::{Carrier, Demand, ResultParts};
use crate::request::{self, L402_AUTHORIZATION, X402_PAYMENT};
use crate::verdict::Verdict;

/// The most pages of `tools/list` that are read to learn about one tool.
const LIST_PAGES_MAX: usize = 16;

/// One call of the client.
struct Call<'a> {
    frame: &'a Frame,
    id: &'a RequestId,
    view: ToolCallView,
    era: Era,
}

impl Call<'_> {
    fn key(&self) -> Key {
        Key { tool: self.view.name.clone(), arguments: self.view.arguments.clone() }
    }

    /// Whether the client pays by itself: then this bridge does not pay, too.
    fn pays_itself(&self) -> bool {
        [X402_PAYMENT, L402_AUTHORIZATION].iter().any(|key| self.frame.meta(key).is_some())
    }

    /// A tool result that says why there is none.
    fn refused(&self, text: &str) -> Bytes {
        reply::result(self.id, reply::tool_result(self.era, &[text], None, &[], true))
    }
}

impl Shared {
    /// The answer to a `tools/call`, under the client's id.
    pub(super) async fn tool_call(&self, frame: &Frame, view: ToolCallView, id: &RequestId) -> Bytes {
        let call = Call { frame, id, view, era: era_of(frame) };
        if !call.pays_itself()
            && let Some(held) = self.doubts.take(&call.key())
        {
            return self.present(&call, held).await;
        }
        let demand = match self.unpaid(&call).await {
            Exchanged::Failed(failure) => return failure.answer(id),
            Exchanged::Payment(demand) if !call.pays_itself() => demand,
            Exchanged::Payment(demand) => {
                return call.refused(&format!("The server did not take the payment: {}", demand.message()));
            }
            // Only the answer to a `tools/call`, and only that of a client that does not pay by itself, may cost money.
            Exchanged::Answer(answer) => match demand_in(&answer).filter(|_| !call.pays_itself()) {
                Some(demand) => demand,
                None => return answer.with_id(id),
            },
        };
        self.buy(&call, &demand).await
    }

    /// The call as the client sent it. A modern server that wants arguments mirrored into headers says so before anything
    /// runs; its list then tells which (2026-07-28, `x-mcp-header`).
    async fn unpaid(&self, call: &Call<'_>) -> Exchanged {
        let first = self.exchange(call.id, call.frame, With::default()).await;
        let wants_headers = match &first {
            Exchanged::Answer(answer) if call.era == Era::Modern => is_header_mismatch(answer, call.id),
            _ => false,
        };
        if !wants_headers || !self.read_list(call.id).await {
            return first;
        }
        self.exchange(call.id, call.frame, With::default()).await
    }

    /// Reads the server's list of tools; whether it could be read.
    async fn read_list(&self, id: &RequestId) -> bool {
        let mut cursor: Option<String> = None;
        for _ in 0..LIST_PAGES_MAX {
            let Ok(frame) = Frame::parse(request::tools_list(&self.fresh_id(), cursor.as_deref())) else {
                return false;
            };
            let Exchanged::Answer(answer) = self.exchange(id, &frame, With::default()).await else {
                return false;
            };
            let Some(page) = answer.result().and_then(|result| tollgate_mcp::tools::parse(&result).ok())
            else {
                return false;
            };
            cursor = page.next_cursor;
            if cursor.is_none() {
                return true;
            }
        }
        true
    }

    async fn buy(&self, call: &Call<'_>, demand: &Demand) -> Bytes {
        let wanted = Wanted {
            tool: &call.view.name,
            demand,
            listing: &self.listing,
            headers: &self.far.endpoint.headers,
        };
        match self.purse.buy(wanted).await {
            Ok(held) => {
                tracing::info!(tool = call.view.name, price = %held.terms.money, rail = %held.terms.rail, "paid");
                self.present(call, held).await
            }
            Err(why) => {
                let text = refusal::unbought(&call.view.name, &why);
                tracing::warn!(tool = call.view.name, "not paid: {text}");
                call.refused(&text)
            }
        }
    }

    /// Sends the call with its payment until there is a definite answer; the payment is always the same one.
    async fn present(&self, call: &Call<'_>, held: Held) -> Bytes {
        let watched = self.doubts.watch(call.key(), held);
        let mut pause_ms = self.retries.pause_ms;
        let mut presented = 1;
        loop {
            let sent = match watched.held() {
                Some(held) => self.send_paid(call, held).await,
                None => None,
            };
            match Presented::of(sent) {
                Presented::Delivered(answer) => {
                    if let Some(mut held) = watched.over() {
                        held.settle().await;
                    }
                    return answer.with_id(call.id);
                }
                Presented::Refused(answer) => {
                    drop(watched.over());
                    return answer.with_id(call.id);
                }
                Presented::NotTaken(message) => {
                    let text = watched.over().map(|held| refusal::not_taken(&held.terms, &message));
                    return call.refused(&text.unwrap_or(message));
                }
                Presented::Unclear { reason, lookup } if presented >= self.retries.presented_max => {
                    tracing::warn!(tool = call.view.name, "a payment is in doubt: {reason}");
                    let text = watched.held();
                    let text = text.map(|held| refusal::in_doubt(&held.terms, &reason, lookup.as_deref()));
                    return call.refused(&text.unwrap_or(reason));
                }
                Presented::Unclear { .. } => {}
            }
            presented += 1;
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            pause_ms = pause_ms.saturating_mul(2);
        }
    }

    /// The client's call, byte for byte, with a payment and an id of its own: a paying retry is a new request.
    async fn send_paid(&self, call: &Call<'_>, held: &Held) -> Option<Exchanged> {
        let parse = |message| Frame::parse_within(message, Limits::UPSTREAM).ok();
        let mut frame = parse(call.frame.with_id(&self.fresh_id()))?;
        let payment = match held.carrier {
            Carrier::Header => Some(held.payment.header()?),
            Carrier::Meta => {
                let (key, value) = held.payment.meta_entry();
                frame = parse(frame.with_meta_value(key, &value))?;
                None
            }
        };
        Some(self.exchange(call.id, &frame, With { payment, is_paid: true }).await)
    }
}

/// What came of sending a call with its payment.
enum Presented {
    /// The tool's answer.
    Delivered(Frame),
    /// A definite error.
    Refused(Frame),
    /// A demand to pay once more, in the server's words.
    NotTaken(String),
    /// The same payment may bring an answer later; the call to look up, where the server named it.
    Unclear { reason: String, lookup: Option<String> },
}

impl Presented {
    fn of(sent: Option<Exchanged>) -> Self {
        let unclear = |reason: &str| Self::Unclear { reason: reason.to_owned(), lookup: None };
        let (answer, heard) = match sent {
            None => return unclear("the payment could not be sent"),
            Some(Exchanged::Failed(failure)) => return unclear(&failure.message),
            Some(Exchanged::Payment(demand)) => return Self::NotTaken(demand.message()),
            Some(Exchanged::Answer(answer)) => {
                let heard = answer.id().and_then(|id| Heard::of_frame(answer.clone(), id));
                (answer, heard)
            }
        };
        match heard.map(Verdict::of) {
            Some(Verdict::Result(_)) => Self::Delivered(answer),
            Some(Verdict::Refused(_)) => Self::Refused(answer),
            Some(Verdict::NotTaken { message, .. }) => Self::NotTaken(message),
            Some(Verdict::Unclear { reason, call }) => Self::Unclear { reason, lookup: call },
            None => unclear("the server's answer cannot be read"),
        }
    }
}

/// The demand to pay in the answer to a `tools/call`, if it is one.
fn demand_in(answer: &Frame) -> Option<Demand> {
    (answer.kind() == Kind::Response).then(|| ResultParts::read(answer).demand).flatten()
}

fn is_header_mismatch(answer: &Frame, id: &RequestId) -> bool {
    matches!(Heard::of_frame(answer.clone(), id), Some(Heard::Error(error)) if error.code == HEADER_MISMATCH)
}
