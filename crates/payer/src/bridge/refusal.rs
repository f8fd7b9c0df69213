//! What a client is told when its call was not paid for, or not answered: what it costs, what the limit is, what to do.

use tollgate_domain::Money;

use super::purse::Unbought;
use crate::PayError;
use crate::budget::{Limit, Refused};
use crate::offer::Terms;

/// The sentences for a call that was not bought.
pub(super) fn unbought(tool: &str, why: &Unbought) -> String {
    match why {
        Unbought::ToolNotAllowed => format!(
            "{tool} costs money, and this bridge may not pay for it. Nothing was paid. Its owner can allow it: --allow {tool}"
        ),
        Unbought::NoWallet => format!(
            "{tool} costs money, and this bridge has no wallet. Nothing was paid. Its owner can name a folder with a payer.key: --data DIR"
        ),
        Unbought::NotAsListed { terms, objection } => format!(
            "{tool} asks for {}, but {objection}. Nothing was paid. If the price has changed, list the tools again and decide anew.",
            terms.money
        ),
        Unbought::OverBudget { terms, allowance, refused } => {
            over_budget(tool, &terms.money, allowance.asset.symbol(), refused, &|amount| {
                allowance.asset.display(amount)
            })
        }
        Unbought::NoBook(reason) => {
            format!(
                "{tool} costs money, and {reason}. Nothing was paid: what cannot be counted is not spent."
            )
        }
        Unbought::NoOffer(PayError::PriceAboveLimit { price, limit }) => format!(
            "{tool} costs {price}, and this bridge pays at most {limit} per call. Nothing was paid. Its owner can raise the limit: --max-per-call {}",
            written(price)
        ),
        Unbought::NoOffer(error) => {
            format!("{tool} costs money, and this bridge cannot pay it: {error}. Nothing was paid.")
        }
        Unbought::HeaderTaken => format!(
            "{tool} wants a Lightning credential in the Authorization header, which holds this bridge's own credential. Nothing was paid. Its owner can leave that out of --header."
        ),
        Unbought::NotPaid(error) => format!("{tool} was not paid for: {error}. Nothing was spent."),
        Unbought::InDoubt(error) => format!(
            "The payment for {tool} is in doubt: {error}. It stays counted in the budget. Do not call again before its owner has looked at the wallet."
        ),
    }
}

fn over_budget(
    tool: &str,
    price: &Money,
    symbol: &str,
    refused: &Refused,
    shown: &dyn Fn(tollgate_domain::Amount) -> String,
) -> String {
    let Refused::Exceeded { limit, allowed, spent } = refused else {
        return format!(
            "{tool} costs {price}, and the budget's count of {symbol} does not add up. Nothing was paid."
        );
    };
    let (span, flag, else_do) = match limit {
        Limit::PerCall => ("per call", "--max-per-call", ""),
        Limit::PerDay => ("per day (UTC)", "--max-per-day", ", or the call can wait until tomorrow"),
        Limit::Total => ("in all", "--max-total", ""),
    };
    format!(
        "{tool} costs {price}; this bridge may spend {} {span}, and {} of that are spent. Nothing was paid. Its owner can raise the limit ({flag}){else_do}.",
        shown(*allowed),
        shown(*spent),
    )
}

/// The sentences for a payment that the server did not take.
pub(super) fn not_taken(terms: &Terms, message: &str) -> String {
    format!(
        "The server was sent {} and did not take it: {}. Nothing is sent again for this call; the money stays counted in the budget, because what was sent can be used until it expires.",
        terms.money,
        short(message)
    )
}

/// The sentences for a payment without a definite answer.
pub(super) fn in_doubt(terms: &Terms, last: &str, call: Option<&str>) -> String {
    let look = call.map(|call| format!(" The server calls it {}.", short(call))).unwrap_or_default();
    format!(
        "{} were sent, but no definite answer came ({}).{look} The money stays counted. The same call with the same arguments asks again with the same payment; it is not paid twice.",
        terms.money,
        short(last)
    )
}

/// The words of a server, bounded: it must not write our sentences.
fn short(text: &str) -> String {
    const CHARS_MAX: usize = 300;
    let text = text.trim_end_matches('.');
    text.chars().filter(|character| !character.is_control()).take(CHARS_MAX).collect()
}

/// Money as it is written on the command line.
fn written(money: &Money) -> String {
    format!("{}{}", money.asset.decimal(money.amount), money.asset.symbol())
}
