//! Who is paid out what, and where to.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_domain::{Amount, AssetId, Assets, Caller, KeyId, Money};
use tollgate_ledger::payout::{PayoutLimits, PayoutRail, ProviderName};
use tollgate_rails::evm::Address;
use tollgate_till::PayoutFunding;

use super::super::meaning::{Lightning, Secret, X402};
use super::super::payouts::{Payouts, Provider, destination};
use super::super::raw::{RawPayoutLimits, RawPayouts, RawProvider};
use super::Reader;

/// The longest cool-off: 90 days.
const COOL_OFF_SECONDS_MAX: u64 = 90 * 86_400;
const COOL_OFF_SECONDS: u64 = 86_400;
/// How many blocks may have to stand on a payout: more are a node's archive.
const CONFIRMATIONS_MAX: u64 = 100;
const CONFIRMATIONS: u64 = 12;

/// How money arrives, for whoever reads where it goes.
#[derive(Clone, Copy)]
pub(super) struct Ways<'a> {
    pub(super) assets: &'a Assets,
    pub(super) x402: Option<&'a X402>,
    pub(super) lightning: Option<&'a Lightning>,
}

impl Reader<'_> {
    pub(super) fn payouts(&mut self, raw: &RawPayouts, ways: Ways<'_>) -> Payouts {
        let cool_off = raw.cool_off_seconds.unwrap_or(COOL_OFF_SECONDS);
        if cool_off > COOL_OFF_SECONDS_MAX {
            self.refuse("payouts.cool_off_seconds", "is at most 90 days");
        }
        let confirmations = raw.confirmations.unwrap_or(CONFIRMATIONS);
        if confirmations > CONFIRMATIONS_MAX {
            self.refuse("payouts.confirmations", format!("is at most {CONFIRMATIONS_MAX}"));
        }
        let admin_key = raw.lnbits_admin_key.as_ref().filter(|key| !key.is_empty());
        let mut providers: BTreeMap<ProviderName, Provider> = BTreeMap::new();
        let mut owned = BTreeSet::new();
        for (name, provider) in &raw.providers {
            let at = format!("payouts.providers.{name}");
            let parsed = self.parse(&at, name, "a name (a-z, 0-9 and \"-\", at most 64 characters)");
            let provider = self.provider(&at, provider, ways, cool_off.saturating_mul(1_000));
            for server in &provider.servers {
                if !owned.insert(server.clone()) {
                    self.refuse(&format!("{at}.servers"), format!("{server} belongs to another provider"));
                }
            }
            providers.extend(parsed.map(|name: ProviderName| (name, provider)));
        }
        let pays_invoices = providers.values().flat_map(|provider| &provider.destinations);
        let pays_invoices = pays_invoices.into_iter().any(|listed| listed.rail() == PayoutRail::Lightning);
        if pays_invoices && admin_key.is_none() {
            let message =
                "is needed: a provider lists a Lightning node, and nothing else may pay its invoices";
            self.refuse("payouts.lnbits_admin_key", message);
        }
        // A wallet's own address needs no cool-off.
        let wallet_credit = self.limits_by_asset("payouts.wallet_credit", &raw.wallet_credit, ways.assets, 0);
        let of_wallets = ways.x402.map(|x402| x402.asset.id());
        if wallet_credit.keys().any(|asset| Some(asset) != of_wallets) {
            let message = "is about an asset that no wallet has credit of: that is the asset of payment.x402";
            self.refuse("payouts.wallet_credit", message);
        }
        let is_needed = !providers.is_empty() || !wallet_credit.is_empty();
        let funding = is_needed.then(|| PayoutFunding {
            confirmations,
            lnbits_admin_key: admin_key.map(|key| Secret(key.clone().into_bytes())),
        });
        Payouts { providers, wallet_credit, funding }
    }

    fn provider(&mut self, at: &str, raw: &RawProvider, ways: Ways<'_>, cool_off_ms: u64) -> Provider {
        let mut provider = Provider {
            servers: BTreeSet::new(),
            keys: BTreeSet::new(),
            destinations: Vec::new(),
            limits: BTreeMap::new(),
            wallets: BTreeSet::new(),
            organisation: raw.organisation.clone(),
        };
        for (place, server) in raw.servers.iter().enumerate() {
            provider.servers.extend(self.server_name(&format!("{at}.servers[{place}]"), server));
        }
        for (place, key) in raw.keys.iter().enumerate() {
            let at = format!("{at}.keys[{place}]");
            provider.keys.extend(self.parse::<KeyId>(&at, key, "the id of an API key: key_1…"));
        }
        for (place, text) in raw.destinations.iter().enumerate() {
            match destination(ways.x402, ways.lightning, text) {
                Ok(found) => provider.destinations.push(found),
                Err(message) => self.refuse(&format!("{at}.destinations[{place}]"), message),
            }
        }
        provider.limits =
            self.limits_by_asset(&format!("{at}.limits"), &raw.limits, ways.assets, cool_off_ms);
        for (place, wallet) in raw.wallets.iter().enumerate() {
            let parsed: Option<Address> =
                self.parse(&format!("{at}.wallets[{place}]"), wallet, "an EVM address");
            provider.wallets.extend(parsed.map(|address| Caller::Wallet(*address.as_bytes()).principal()));
        }
        provider
    }

    fn limits_by_asset(
        &mut self,
        at: &str,
        raw: &[RawPayoutLimits],
        assets: &Assets,
        cool_off_ms: u64,
    ) -> BTreeMap<AssetId, PayoutLimits> {
        let mut all = BTreeMap::new();
        for (place, limits) in raw.iter().enumerate() {
            let at = format!("{at}[{place}]");
            let Some((asset, limits)) = self.payout_limits(&at, limits, assets, cool_off_ms) else {
                continue;
            };
            if all.insert(asset, limits).is_some() {
                self.refuse(&at, "is about an asset that has limits already");
            }
        }
        all
    }

    fn payout_limits(
        &mut self,
        at: &str,
        raw: &RawPayoutLimits,
        assets: &Assets,
        cool_off_ms: u64,
    ) -> Option<(AssetId, PayoutLimits)> {
        let mut money = |name: &str, text: &str| -> Option<Money> {
            match assets.parse(text) {
                Ok(money) => Some(money),
                Err(error) => {
                    self.refuse_money(&format!("{at}.{name}"), &error);
                    None
                }
            }
        };
        let (per_payout, per_day) = (money("per_payout", &raw.per_payout)?, money("per_day", &raw.per_day)?);
        let least = raw.minimum.as_ref().map(|text| money("minimum", text));
        let above = raw.approve_above.as_ref().map(|text| money("approve_above", text));
        let asset = per_payout.asset.id().clone();
        let all = [Some(&per_day), least.iter().flatten().next(), above.iter().flatten().next()];
        if all.into_iter().flatten().any(|money| *money.asset.id() != asset) {
            self.refuse(at, "names several assets; limits are of one");
            return None;
        }
        let limits = PayoutLimits {
            cool_off_ms,
            least: least.flatten().map_or(Amount::new(1), |money| money.amount),
            per_payout: per_payout.amount,
            per_day: per_day.amount,
            approve_above: above.flatten().map(|money| money.amount),
        };
        Some((asset, limits))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Environment, Overrides, load_text};

    const LIGHTNING: &str =
        "  lightning: { lnbits_url: http://127.0.0.1:5055, lnbits_invoice_key: abc, network: regtest }\n";

    fn payouts(yaml: &str) -> Result<Config, String> {
        payouts_beside("", yaml)
    }

    fn payouts_beside(more_payment: &str, yaml: &str) -> Result<Config, String> {
        let text = format!(
            "payment:\n  x402:\n    pay_to: \"0x{}\"\n    rpc_url: http://127.0.0.1:1\n{more_payment}payouts:\n{yaml}",
            "1".repeat(40)
        );
        load_text(&text, "tollgate.yaml".to_owned(), &Environment::default(), &Overrides::default(), None)
            .map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn p21_nothing_is_paid_out_unless_it_is_written() {
        let nothing = payouts("  cool_off_seconds: 5\n").unwrap();
        assert!(nothing.payouts.providers.is_empty() && nothing.payouts.funding.is_none());
        let bare = payouts("  providers: {acme: {servers: [weather]}}\n").unwrap();
        let acme = bare.payouts.providers.values().next().unwrap();
        assert!(acme.keys.is_empty() && acme.destinations.is_empty() && acme.limits.is_empty());
    }

    #[test]
    fn what_cannot_be_meant_is_refused_where_it_stands() {
        let acme =
            |inner: &str| payouts(&format!("  providers:\n    acme: {{servers: [weather], {inner}}}\n"));
        let fine =
            acme("limits: [{per_payout: 1USDC, per_day: 5USDC, minimum: 0.1USDC, approve_above: 0.5USDC}]");
        let fine = fine.unwrap();
        let limits = fine.payouts.providers.values().next().unwrap().limits.values().next().unwrap();
        assert_eq!((limits.per_day.get(), limits.least.get()), (5_000_000, 100_000));
        assert_eq!(limits.cool_off_ms, 86_400_000, "a day unless it is said");
        for (inner, at) in [
            ("keys: [nobody]", "payouts.providers.acme.keys[0]"),
            ("destinations: [\"0x12\"]", "payouts.providers.acme.destinations[0]"),
            ("limits: [{per_payout: 1USDC}]", "payouts.providers.acme.limits[0].per_day"),
            ("limits: [{per_payout: 1GOLD, per_day: 1GOLD}]", "payouts.providers.acme.limits[0].per_payout"),
            ("wallets: [me]", "payouts.providers.acme.wallets[0]"),
        ] {
            let refused = acme(inner).unwrap_err();
            assert!(refused.contains(at), "{refused}");
        }
        let twice = payouts("  providers: {a: {servers: [weather]}, b: {servers: [weather]}}\n").unwrap_err();
        assert!(twice.contains("belongs to another provider"), "{twice}");
        let node = format!("destinations: [\"02{}\"]", "a".repeat(64));
        assert!(acme(&node).unwrap_err().contains("Lightning"), "no wallet that could pay it");
    }

    #[test]
    fn credit_of_wallets_goes_back_within_limits_of_the_asset_that_wallets_pay_with() {
        let fine = payouts("  wallet_credit: [{per_payout: 1USDC, per_day: 5USDC}]\n").unwrap().payouts;
        let limits = fine.wallet_credit.values().next().unwrap();
        assert_eq!((limits.per_day.get(), limits.cool_off_ms), (5_000_000, 0));
        assert!(fine.providers.is_empty() && fine.funding.is_some(), "it needs what pays, and no provider");
        for (text, why) in [
            ("{per_payout: 1sat, per_day: 5sat}", "no wallet has credit of"),
            ("{per_payout: 1USDC}", "payouts.wallet_credit[0].per_day"),
            (
                "{per_payout: 1USDC, per_day: 5USDC}, {per_payout: 2USDC, per_day: 5USDC}",
                "has limits already",
            ),
        ] {
            let refused = payouts_beside(LIGHTNING, &format!("  wallet_credit: [{text}]\n")).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
