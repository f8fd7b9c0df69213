//! What a claim has reserved of its budgets: kept with the settlement, so that a void finds it whatever is configured by then.

use std::fmt;
use std::str::FromStr;

use tollgate_domain::{ApprovalId, UnixMillis};

use super::{NodeKey, Span};

/// What a claim has taken. The amount and the asset are those of its settlement. Written one line each:
/// `day 1795219200000 acme/research`, `approval appr_1…`; empty where nothing bounds the call.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Reservation {
    /// The windows that it counts in.
    pub taken: Vec<Taken>,
    /// The approval that it uses.
    pub approval: Option<ApprovalId>,
}

/// One window of one node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Taken {
    /// The node.
    pub node: NodeKey,
    /// The span.
    pub span: Span,
    /// When the window began.
    pub start: UnixMillis,
}

/// Why a text is no [`Reservation`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no line of a reservation")]
pub struct ReservationError(String);

impl fmt::Display for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut newline = "";
        for Taken { node, span, start } in &self.taken {
            write!(f, "{newline}{span} {} {node}", start.get())?;
            newline = "\n";
        }
        match &self.approval {
            Some(id) => write!(f, "{newline}approval {id}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Reservation {
    type Err = ReservationError;

    fn from_str(text: &str) -> Result<Self, ReservationError> {
        let mut reservation = Self::default();
        for line in text.lines() {
            let refused = || ReservationError(line.chars().take(64).collect());
            match line.split_once(' ') {
                Some(("approval", id)) => reservation.approval = Some(id.parse().map_err(|_| refused())?),
                Some((span, rest)) => {
                    let (start, node) = rest.split_once(' ').ok_or_else(refused)?;
                    reservation.taken.push(Taken {
                        node: NodeKey::stored(node),
                        span: span.parse().map_err(|_| refused())?,
                        start: UnixMillis::new(start.parse().map_err(|_| refused())?),
                    });
                }
                None => return Err(refused()),
            }
        }
        Ok(reservation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_is_read_as_it_was_written() {
        let taken =
            |span, node: &str| Taken { node: NodeKey::stored(node), span, start: UnixMillis::new(17) };
        let whole = Reservation {
            taken: vec![taken(Span::Day, "acme/research"), taken(Span::Session, "tools#up/a tool")],
            approval: Some(ApprovalId::from_bytes([3; 16])),
        };
        for reservation in [whole.clone(), Reservation { approval: None, ..whole }, Reservation::default()] {
            assert_eq!(reservation.to_string().parse(), Ok(reservation));
        }
        for text in ["day", "day 17", "year 17 acme", "day x acme", "approval key_1"] {
            assert!(text.parse::<Reservation>().is_err(), "{text:?}");
        }
    }
}
