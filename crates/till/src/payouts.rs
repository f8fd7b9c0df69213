//! What pays providers: the rails of payouts, as configured.

use std::fmt;
use std::sync::Arc;

use tollgate_rails::evm::{Domain, EvmPayouts, EvmSettler, SigningKey};
use tollgate_rails::lightning::lnbits::LnbitsPayouts;
use tollgate_rails::payout::{PayoutRail, SandboxPayouts};

use crate::data::DataDirectory;
use crate::payment::{Lightning, LightningBackend, Secret, Settling, X402};
use crate::rails::{RailError, chain, client};
use crate::till::TillError;

/// What pays providers, beside the rails by which money arrives.
#[derive(Clone, Debug, PartialEq)]
pub struct PayoutFunding {
    /// How many blocks must stand on a payout on a chain.
    pub confirmations: u64,
    /// The admin key of the LNbits wallet that pays invoices.
    pub lnbits_admin_key: Option<Secret>,
}

/// The rails that pay; `None` where nothing is paid out.
#[derive(Clone, Default)]
pub struct PayoutRails {
    /// A token on a chain.
    pub evm: Option<Arc<dyn PayoutRail>>,
    /// Invoices.
    pub lightning: Option<Arc<dyn PayoutRail>>,
    /// Sandbox money.
    pub sandbox: Option<Arc<dyn PayoutRail>>,
}

impl fmt::Debug for PayoutRails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { evm, lightning, sandbox } = self;
        write!(f, "PayoutRails({evm:?}, {lightning:?}, {sandbox:?})")
    }
}

impl PayoutRails {
    /// Adds what pays a token. The treasury's key is drawn the first time; its account has to be funded.
    pub(crate) fn add_tokens(
        &mut self,
        funding: Option<&PayoutFunding>,
        x402: &X402,
        settler: Option<Arc<EvmSettler>>,
        data: &DataDirectory,
    ) -> Result<(), TillError> {
        let Some(funding) = funding else { return Ok(()) };
        let (Settling::Chain { rpc_url, chain_id, token }, Some(settler)) = (&x402.settling, settler) else {
            self.sandbox = Some(Arc::new(SandboxPayouts));
            return Ok(());
        };
        let treasury = SigningKey::from_bytes(&data.key("treasury.key")?).map_err(RailError::SigningKey)?;
        tracing::info!(treasury = %treasury.address(), chain_id, "providers are paid from this account; it needs the token");
        let domain = Domain::new(&x402.name, &x402.version, *chain_id, *token);
        let token = (chain(rpc_url), *token, domain);
        self.evm = Some(Arc::new(EvmPayouts::new(token, settler, treasury, funding.confirmations)));
        Ok(())
    }

    /// Adds what pays invoices, where there is a key that may spend.
    pub(crate) fn add_lightning(
        &mut self,
        funding: Option<&PayoutFunding>,
        lightning: &Lightning,
    ) -> Result<(), TillError> {
        let admin_key = funding.and_then(|funding| funding.lnbits_admin_key.as_ref());
        let (LightningBackend::Lnbits { url, .. }, Some(admin_key)) = (&lightning.backend, admin_key) else {
            return Ok(());
        };
        let key = std::str::from_utf8(&admin_key.0).map_err(|_| RailError::LnbitsKey)?;
        let pays = LnbitsPayouts::new(&url.to_string(), key, client(url)).map_err(RailError::Lnbits)?;
        self.lightning = Some(Arc::new(pays));
        Ok(())
    }
}
