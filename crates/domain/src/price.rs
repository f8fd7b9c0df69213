use crate::{Amount, Binding, Money, UnixMillis};

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
    /// Until when a payment for it is accepted.
    pub expires: UnixMillis,
}
