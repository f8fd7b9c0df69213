use tollgate_domain::UnixMillis;

use crate::call::{Call, Paid, Screened};
use crate::denial::Denial;
use crate::ports::Ports;
use crate::station::Refusal;
use crate::station::pay::limiter_key;

impl Call<Paid> {
    /// Asks whether this behaviour is within its limits. Left of `hold`: a refusal burns no proof.
    pub(crate) fn screen<P: Ports>(self, ports: &P, now: UnixMillis) -> Result<Call<Screened>, Refusal> {
        let key = limiter_key(&self.stage.caller, &self.stage.principal, &self.request.origin);
        ports
            .calls_limiter()
            .check(&key, 1, now)
            .map_err(|limited| self.refuse(Denial::RateLimited { retry_after_ms: limited.retry_after_ms }))?;
        Ok(self.stamped(|paid| Screened { paid }))
    }
}
