use tollgate_domain::{Binding, Digest, Quote, UnixMillis};

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
        if let Some(maximum) = &self.request.maximum {
            let price = quote.price.options().iter().find(|option| option.asset == maximum.asset);
            if let Some(price) = price.filter(|price| price.amount > maximum.amount) {
                let (price, maximum) = (Box::new(price.clone()), Box::new(maximum.clone()));
                return Err(self.refuse(Denial::PriceAboveMaximum { price, maximum }));
            }
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
    /// The price of exactly this call: this tool with these arguments.
    pub(crate) fn quoted(&self, limits: &GateLimits, now: UnixMillis) -> Result<Quote, Denial> {
        let args = match self.request.args_digest {
            Some(digest) => digest,
            None => tollgate_mcp::canonical::digest(&self.request.arguments)
                .map(Digest::from_bytes)
                .map_err(|error| Denial::InvalidArguments(vec![error.to_string()]))?,
        };
        Ok(Quote {
            binding: Binding {
                tool: self.request.tool.clone(),
                args,
                price_version: self.listed.price_version,
            },
            price: self.listed.price.clone(),
            expires: now.plus_millis(limits.quote_ttl_ms),
        })
    }
}
