use crate::{Amount, Binding, Digest, Money, Settle, UnixMillis};

/// What one call of a tool costs: nothing, or one amount in each asset that its owner accepts. A caller pays one of
/// them. An amount in a price is never zero.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Price {
    options: Vec<Money>,
}

impl Price {
    /// Free of charge.
    pub const FREE: Self = Self { options: Vec::new() };

    /// A price of any of these. Zero amounts are dropped: a price of only zeros is free.
    pub fn any_of(options: impl IntoIterator<Item = Money>) -> Self {
        Self { options: options.into_iter().filter(|money| money.amount != Amount::ZERO).collect() }
    }

    /// Whether the call costs nothing.
    pub fn is_free(&self) -> bool {
        self.options.is_empty()
    }

    /// The version of this price: the same options in the same order have the same version everywhere and after every restart.
    pub fn version(&self) -> u16 {
        let text: Vec<String> =
            self.options.iter().map(|option| format!("{}:{}", option.amount, option.asset.id())).collect();
        let [high, low, ..] = *Digest::of(text.join(",").as_bytes()).as_bytes();
        u16::from_be_bytes([high, low])
    }

    /// The amounts a caller may choose from, in the owner's order.
    pub fn options(&self) -> &[Money] {
        &self.options
    }
}

/// A price for one particular call, good until it expires.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quote {
    /// What the price is for.
    pub binding: Binding,
    /// How much.
    pub price: Price,
    /// When the money moves.
    pub settle: Settle,
    /// Until when a payment for it is accepted.
    pub expires: UnixMillis,
}
