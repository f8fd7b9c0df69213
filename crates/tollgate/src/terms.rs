//! On which terms something is sold.

use std::time::Duration;

use tollgate_domain::{Assets, Bps, Digest, Price, Requirement, ServerName, Settle, ToolName, ToolRef};
use tollgate_gate::Listed;

use crate::error::PriceError;

/// The name of what is sold, its price, and what is asked of callers beside.
///
/// ```
/// # use std::time::Duration;
/// # use tollgate::Terms;
/// let report = Terms::new("report", "0.25USDC, 300sat")
///     .description("The report of one company.")
///     .min_reputation("0.6")
///     .deadline(Duration::from_secs(120));
/// # drop(report);
/// ```
#[derive(Clone, Debug)]
pub struct Terms {
    name: String,
    price: String,
    description: Option<String>,
    settle: Settle,
    overlaps: bool,
    api_key: bool,
    min_reputation: Option<String>,
    deadline: Duration,
    has_output_schema: bool,
    pub(crate) is_flowing: bool,
}

impl Terms {
    /// A name, and a price in each asset that is accepted: `0.01USDC`, or `0.01USDC, 10sat`. An empty price is free.
    pub fn new(name: impl Into<String>, price: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            price: price.into(),
            description: None,
            settle: Settle::After,
            overlaps: false,
            api_key: false,
            min_reputation: None,
            deadline: Duration::from_secs(60),
            has_output_schema: false,
            is_flowing: false,
        }
    }

    /// What it is, shown to whoever approves a payment.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// The money moves before the work is begun; what was taken for work that fails is refunded. Without this it moves once there is
    /// an answer.
    #[must_use]
    pub fn settled_before(mut self) -> Self {
        self.settle = Settle::Before;
        self
    }

    /// The work may begin while the claim of prepaid credit is being committed; its answer waits for both. For work that only reads: a
    /// crash in that moment can cost you a run for which nobody paid. Any other payment is claimed first all the same, and
    /// everything that is [settled before](Self::settled_before).
    #[must_use]
    pub fn overlapping(mut self) -> Self {
        self.overlaps = true;
        self
    }

    /// Only callers with an API key.
    #[must_use]
    pub fn needs_api_key(mut self) -> Self {
        self.api_key = true;
        self
    }

    /// Only callers of at least this local reputation, 0 to 1, such as `0.6`.
    #[must_use]
    pub fn min_reputation(mut self, share: impl Into<String>) -> Self {
        self.min_reputation = Some(share.into());
        self
    }

    /// How long it may take; then it is dropped and costs nothing. Default: a minute.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// It is a tool that your server lists with an `outputSchema`. The demand to pay for it has no `structuredContent`, which would not
    /// fit: clients on the TypeScript SDK up to 1.32 take such an answer for a broken one, and could not pay.
    #[must_use]
    pub fn with_output_schema(mut self) -> Self {
        self.has_output_schema = true;
        self
    }

    /// A streamed answer flows to its caller while it is made, one piece behind, and is settled at its end; the last piece
    /// waits for the settlement. Without this an answer is kept back until it is paid. Where the money has not arrived
    /// before (x402), a payer without any gets all pieces but the last.
    #[must_use]
    pub fn flowing(mut self) -> Self {
        self.is_flowing = true;
        self
    }

    pub(crate) fn listed(&self, server: &ServerName, assets: &Assets) -> Result<Listed, PriceError> {
        let name: ToolName = self.name.parse().map_err(|error: tollgate_domain::NameError| {
            PriceError::Name { name: self.name.clone(), reason: error.to_string() }
        })?;
        let price = self.price(assets)?;
        let min_reputation: Bps = match &self.min_reputation {
            None => Bps::ZERO,
            Some(share) => share.parse().map_err(|_| PriceError::Reputation(share.clone()))?,
        };
        let deadline_ms = u64::try_from(self.deadline.as_millis()).unwrap_or(u64::MAX);
        Ok(Listed {
            tool: ToolRef { server: server.clone(), tool: name },
            description: self.description.clone(),
            requirement: Requirement { api_key: self.api_key, min_reputation },
            price_version: u32::from(price.version()),
            price: price.into(),
            settle: self.settle,
            overlaps: self.overlaps,
            splits: Default::default(),
            schema: None,
            schema_digest: Digest::of(b"{}"),
            has_output_schema: self.has_output_schema,
            deadline_ms: deadline_ms.max(1),
            withheld: None,
        })
    }

    fn price(&self, assets: &Assets) -> Result<Price, PriceError> {
        let refused =
            |reason: String| PriceError::Price { name: self.name.clone(), price: self.price.clone(), reason };
        let mut options = Vec::new();
        for text in self.price.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            let money = assets.parse(text).map_err(|error| refused(error.to_string()))?;
            if money.amount.is_zero() {
                return Err(refused("a price of zero is written as an empty text".to_owned()));
            }
            options.push(money);
        }
        if options.is_empty() && !self.price.trim().is_empty() {
            return Err(refused("it names no amount".to_owned()));
        }
        Ok(Price::any_of(options))
    }
}
