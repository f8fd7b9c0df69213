//! Payouts as the gateway carries them out: who may withdraw, what everybody is shown, and what drives them over their rails.
//!
//! What may follow on what, and whether the money may go, is decided in `tollgate_ledger::payout` alone; nothing here moves money
//! on the books.

pub(crate) mod drive;
pub(crate) mod revenue;
pub(crate) mod view;

use std::sync::Arc;

use tollgate_domain::KeyId;
use tollgate_ledger::StoreError;
use tollgate_ledger::payout::{
    ChangeList, Destination, ListChange, PayoutCommand, PayoutRail as Way, PayoutStore, ProviderName,
};
use tollgate_rails::payout::PayoutRail;
use tollgate_store::Store;

use crate::clock;
use crate::config::Provider;
use crate::gateway::Gateway;

/// The provider of this name, if the holder of this key may withdraw for it.
pub(crate) fn provider_of<'a>(
    gateway: &'a Gateway,
    name: &str,
    key: KeyId,
) -> Option<(&'a ProviderName, &'a Provider)> {
    let name: ProviderName = name.parse().ok()?;
    let found = gateway.config.payouts.providers.get_key_value(&name)?;
    found.1.keys.contains(&key).then_some(found)
}

/// What carries payouts to this destination; `None`: nothing does here.
pub(crate) fn rail<'a>(gateway: &'a Gateway, destination: &Destination) -> Option<&'a Arc<dyn PayoutRail>> {
    let rails = &gateway.foundation.payouts;
    match destination.rail() {
        Way::Evm => rails.evm.as_ref(),
        Way::Lightning => rails.lightning.as_ref(),
        Way::Sandbox => rails.sandbox.as_ref(),
    }
}

/// Tells the ledger what the configuration lists for a provider now. Changes nothing where it knows that.
///
/// # Errors
/// When the ledger cannot be written.
pub(crate) async fn align(store: &Store, name: &ProviderName, provider: &Provider) -> Result<(), StoreError> {
    let known = store.payee(name).await?;
    let is_known = known.as_ref().is_some_and(|payee| {
        let configured = |listed: &&tollgate_ledger::payout::ListedDestination| {
            listed.by == tollgate_ledger::payout::ListedBy::Config
        };
        provider.destinations.iter().all(|destination| payee.listed(destination).is_some())
            && payee
                .destinations
                .iter()
                .filter(configured)
                .all(|listed| provider.destinations.contains(&listed.destination))
    });
    if is_known || (known.is_none() && provider.destinations.is_empty()) {
        return Ok(());
    }
    let change = ListChange::Configured(provider.destinations.clone());
    let change = ChangeList { provider: name.clone(), change, now: clock::now() };
    store.payout_command(PayoutCommand::List(change)).await.map(drop)
}
