//! How far callers may spend when nothing else is said: never without a limit.

use std::collections::BTreeMap;

use tollgate_domain::{Asset, Assets, MoneyError};
use tollgate_ledger::budget::{Bounds, Limits, Plan, Span};

/// What one caller may spend per day, in whole units.
#[derive(Clone, Copy, Debug)]
pub struct Caution<'a> {
    /// The most that one caller may spend per day.
    pub per_day: &'a str,
    /// Above which a call has to be approved.
    pub approve_above: &'a str,
}

/// Of the payment token: `MAX_DAILY_SPENT` and `HIGH_VALUE_THRESHOLD` where they are not set.
pub const TOKEN: Caution<'static> = Caution { per_day: "1000.0", approve_above: "100.0" };
/// Of Lightning, in sat: as cautious as that, roughly.
pub const LIGHTNING: Caution<'static> = Caution { per_day: "1000000", approve_above: "100000" };

/// The limits of every caller in one asset.
///
/// # Errors
/// [`MoneyError`] when a number is not one of this asset.
pub fn bounds(asset: &Asset, caution: Caution<'_>) -> Result<Bounds, MoneyError> {
    let per_day = asset.parse(shortest(caution.per_day))?;
    let approve_above = asset.parse(shortest(caution.approve_above))?;
    Ok(Bounds {
        approve_above: Some(approve_above),
        limit: BTreeMap::from([(Span::Day, per_day)]),
        ..Bounds::default()
    })
}

/// How cautious to be with an asset of which nothing is said.
pub fn caution(asset: &Asset) -> Caution<'static> {
    if asset.id().network().starts_with("lightning:") { LIGHTNING } else { TOKEN }
}

/// The limits of every caller in each of these assets, and nothing else.
pub fn default_plan(assets: &Assets) -> Plan {
    // Round numbers are numbers of every asset that holds them; of one with so many decimals that they do not fit, nothing can
    // be paid either.
    let limits =
        assets.iter().filter_map(|asset| Some((asset.id().clone(), bounds(asset, caution(asset)).ok()?)));
    Plan { per_caller: Limits(limits.collect()), ..Plan::default() }
}

/// `1000.0` is a number of every asset, also of one without decimals.
fn shortest(decimal: &str) -> &str {
    match decimal.split_once('.') {
        Some((_, fraction)) if !fraction.is_empty() => decimal.trim_end_matches('0').trim_end_matches('.'),
        Some(_) | None => decimal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_tokens_are_converted_by_the_decimals_of_their_asset() {
        for (decimals, per_day, above) in [
            (0, "1000", "100"),
            (6, "1000000000", "100000000"),
            (18, "1000000000000000000000", "100000000000000000000"),
        ] {
            let asset = Asset::new("eip155:84532/erc20:0x1", "TOK", decimals).unwrap();
            let bounds = bounds(&asset, TOKEN).unwrap();
            assert_eq!(bounds.limit[&Span::Day].to_string(), per_day);
            assert_eq!(bounds.approve_above.unwrap().to_string(), above);
        }
    }

    #[test]
    fn what_is_finer_than_the_asset_is_refused() {
        let asset = Asset::new("eip155:84532/erc20:0x1", "USDC", 6).unwrap();
        let of = |per_day| {
            bounds(&asset, Caution { per_day, ..TOKEN }).map(|bounds| bounds.limit[&Span::Day].get())
        };
        assert_eq!(of("0.000001"), Ok(1));
        assert_eq!(of("10.50"), Ok(10_500_000));
        for text in ["0.0000001", "1e3", "-1", "", "1.", "1,000", "NaN"] {
            assert!(of(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn no_asset_is_without_a_limit() {
        let assets = Assets::new([
            Asset::new("eip155:84532/erc20:0x1", "USDC", 6).unwrap(),
            Asset::new("lightning:regtest/msat", "sat", 3).unwrap(),
        ]);
        let plan = default_plan(&assets);
        assert_eq!(plan.per_caller.0.len(), 2);
        let sat = &plan.per_caller.0[assets.by_symbol("sat").unwrap().id()];
        assert_eq!(sat.limit[&Span::Day].get(), 1_000_000_000);
    }
}
