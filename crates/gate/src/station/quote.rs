use tollgate_domain::{Binding, Digest, Money, Quote, UnixMillis};

use crate::call::{Call, Quoted, Trusted};
use crate::denial::Denial;
use crate::station::Refusal;
use crate::street::GateLimits;

impl Call<Trusted> {
    /// Names the price, after the arguments were found to fit the schema: nobody pays for a malformed request.
    pub(crate) fn quote(self, limits: &GateLimits, now: UnixMillis) -> Result<Call<Quoted>, Refusal> {
        if let Some(schema) = &self.listed.schema {
            if self.request.args_digest.is_some() {
                let problem = "this tool has a schema: send the arguments, not their digest".to_owned();
                return Err(self.refuse(Denial::InvalidArguments(vec![problem])));
            }
            schema
                .check(&self.request.arguments)
                .map_err(|problems| self.refuse(Denial::InvalidArguments(problems)))?;
        }
        let quote = self.quoted(limits, now).map_err(|denial| self.refuse(denial))?;
        if let (Some(quote), Some(maximum)) = (&quote, &self.request.maximum) {
            within(quote, maximum).map_err(|denial| self.refuse(denial))?;
        }
        Ok(self.stamped(|stage| Quoted {
            caller: stage.caller,
            principal: stage.principal,
            proof: stage.proof,
            standing: stage.standing,
            quote,
        }))
    }
}

impl<S> Call<S> {
    /// The price of exactly this call: this tool with these arguments. `None` when it is free, which binds nothing.
    pub(crate) fn quoted(&self, limits: &GateLimits, now: UnixMillis) -> Result<Option<Quote>, Denial> {
        if self.listed.price.is_free() {
            return Ok(None);
        }
        Ok(Some(Quote {
            binding: Binding {
                tool: self.request.tool.clone(),
                args: self.args_digest()?,
                price_version: self.listed.price_version,
            },
            price: self.listed.price.clone(),
            settle: self.listed.settle,
            expires: now.plus_millis(limits.quote_ttl_ms),
        }))
    }

    /// The digest of the arguments in canonical form.
    pub(crate) fn args_digest(&self) -> Result<Digest, Denial> {
        self.request.args_digest.map_or_else(
            || {
                tollgate_mcp::canonical::digest(&self.request.arguments)
                    .map(Digest::from_bytes)
                    .map_err(|error| Denial::InvalidArguments(vec![error.to_string()]))
            },
            Ok,
        )
    }
}

/// Refuses a price above what the caller is willing to pay, where both are in one asset.
fn within(quote: &Quote, maximum: &Money) -> Result<(), Denial> {
    let price = quote.price.options().iter().find(|option| option.asset == maximum.asset);
    match price.filter(|price| price.amount > maximum.amount) {
        None => Ok(()),
        Some(price) => Err(Denial::PriceAboveMaximum {
            price: Box::new(price.clone()),
            maximum: Box::new(maximum.clone()),
        }),
    }
}
