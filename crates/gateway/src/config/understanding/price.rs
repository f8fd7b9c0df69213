//! What a price that was written means: every amount parsed, every rule whole.

use tollgate_domain::pricing::{
    Bounds, Computed, DEPTH_MAX, Days, Measure, RULES_MAX, ResultPrice, ResultPriceError, UnitPrice, Window,
};
use tollgate_domain::{Amount, Asset, Assets, Bps, Formula, Money, MoneyError, Period, Price, Pricing};

use super::Reader;
use crate::config::raw::{RawMeasure, RawPrice, RawPricing};

/// How far the calls of a caller are counted: each price of a caller who has called so often looks at as many rows.
const COUNTED_MAX: u64 = 100_000;
/// The bytes of a unit of a result, unless said otherwise.
const RESULT_UNIT: u64 = 1024;
const KINDS: &str = "per_call, free_tier, volume, standing, per_unit, per_result, formula, windows";

/// Where amounts are read: the assets there are, and the one of an amount that names none.
#[derive(Clone, Copy)]
struct Counting<'a> {
    assets: &'a Assets,
    bare: Option<&'a Asset>,
}

impl Reader<'_> {
    /// The price of a tool.
    pub(super) fn price(&mut self, at: &str, raw: &RawPrice, assets: &Assets) -> Option<Pricing> {
        let pricing = self.price_of(at, raw, Counting { assets, bare: None }, 1)?;
        let (rules, _) = pricing.extent();
        if rules > RULES_MAX {
            self.refuse(at, format!("has {rules} rules; at most {RULES_MAX} are one price"));
            return None;
        }
        Some(pricing)
    }

    fn price_of(
        &mut self,
        at: &str,
        raw: &RawPrice,
        counting: Counting<'_>,
        depth: usize,
    ) -> Option<Pricing> {
        match raw {
            RawPrice::Amounts(amounts) => self.amounts(at, amounts, counting).map(Pricing::PerCall),
            RawPrice::Rule(_) if depth >= DEPTH_MAX => {
                self.refuse(at, format!("stands in more than {DEPTH_MAX} rules within each other"));
                None
            }
            RawPrice::Rule(rule) => self.price_rule(at, rule, counting, depth),
        }
    }

    fn price_rule(
        &mut self,
        at: &str,
        raw: &RawPricing,
        counting: Counting<'_>,
        depth: usize,
    ) -> Option<Pricing> {
        let counting = self.counted_in(at, raw, counting)?;
        let kind = raw.kind.as_deref().unwrap_or_default();
        let members: &[&str] = match kind {
            "per_call" => &["price"],
            "free_tier" => &["calls", "per", "then"],
            "volume" => &["per", "tiers"],
            "standing" => &["grades", "otherwise"],
            "per_unit" => &["measure", "size", "each", "base", "minimum", "maximum"],
            "per_result" => &["size", "each", "base", "minimum", "maximum"],
            "formula" => &["measures", "formula", "minimum", "maximum"],
            "windows" => &["windows", "otherwise"],
            _ => {
                self.refuse(&format!("{at}.type"), format!("is none of {KINDS}"));
                return None;
            }
        };
        for name in written(raw).into_iter().filter(|name| !members.contains(name)) {
            self.refuse(
                &format!("{at}.{name}"),
                format!("means nothing in a price of type {kind}: leave it out"),
            );
        }
        let inner = |name: &str| format!("{at}.{name}");
        match kind {
            "per_call" => self.part(&inner("price"), raw.price.as_deref(), counting, depth),
            "free_tier" => {
                let (per, calls) = (self.period(at, raw), self.calls(&inner("calls"), raw.calls));
                let then = self.part(&inner("then"), raw.then.as_deref(), counting, depth);
                Some(Pricing::FreeTier { calls: calls?, per: per?, then: Box::new(then?) })
            }
            "volume" => self.volume(at, raw, counting, depth),
            "standing" => self.standing(at, raw, counting, depth),
            "per_unit" => self.per_unit(at, raw, counting),
            "per_result" => self.per_result(at, raw, counting),
            "formula" => self.formula(at, raw, counting),
            _ => self.windows(at, raw, counting, depth),
        }
    }

    /// A rule that must be there.
    fn part(
        &mut self,
        at: &str,
        raw: Option<&RawPrice>,
        counting: Counting<'_>,
        depth: usize,
    ) -> Option<Pricing> {
        match raw {
            Some(raw) => self.price_of(at, raw, counting, depth.saturating_add(1)),
            None => {
                self.refuse(at, "is missing");
                None
            }
        }
    }

    /// The asset of amounts that name none: the one of the rule, else of the rule around it, else the first there is.
    fn counted_in<'a>(&mut self, at: &str, raw: &RawPricing, counting: Counting<'a>) -> Option<Counting<'a>> {
        let bare = match &raw.asset {
            None => counting.bare.or_else(|| counting.assets.iter().next()),
            Some(symbol) => match counting.assets.by_symbol(symbol) {
                Some(asset) => Some(asset),
                None => {
                    self.refuse_money(&format!("{at}.asset"), &counting.assets.unknown(symbol));
                    return None;
                }
            },
        };
        Some(Counting { bare, ..counting })
    }

    fn volume(
        &mut self,
        at: &str,
        raw: &RawPricing,
        counting: Counting<'_>,
        depth: usize,
    ) -> Option<Pricing> {
        let per = self.period(at, raw);
        let mut tiers = Vec::new();
        for (index, tier) in raw.tiers.iter().enumerate() {
            let here = format!("{at}.tiers[{index}]");
            let fits = match tiers.last() {
                None => tier.from == 0,
                Some((before, _)) => tier.from > *before,
            };
            if !fits || tier.from > COUNTED_MAX {
                self.refuse(
                    &format!("{here}.from"),
                    format!("the first tier is from 0, each later one from more calls, up to {COUNTED_MAX}"),
                );
            }
            let pricing =
                self.price_of(&format!("{here}.price"), &tier.price, counting, depth.saturating_add(1));
            tiers.push((tier.from, pricing));
        }
        if tiers.is_empty() {
            self.refuse(&format!("{at}.tiers"), "is missing");
        }
        let tiers: Option<Vec<_>> = tiers.into_iter().map(|(from, tier)| Some((from, tier?))).collect();
        Some(Pricing::Volume { per: per?, tiers: tiers? })
    }

    fn standing(
        &mut self,
        at: &str,
        raw: &RawPricing,
        counting: Counting<'_>,
        depth: usize,
    ) -> Option<Pricing> {
        let mut grades: Vec<(Bps, Option<Pricing>)> = Vec::new();
        for (index, grade) in raw.grades.iter().enumerate() {
            let here = format!("{at}.grades[{index}]");
            let (place, share) = (format!("{here}.min_reputation"), &grade.min_reputation.0);
            let least: Option<Bps> = self.parse(&place, share, "a share between 0 and 1");
            let pricing =
                self.price_of(&format!("{here}.price"), &grade.price, counting, depth.saturating_add(1));
            let Some(least) = least else { continue };
            if grades.iter().any(|(known, _)| *known == least) {
                self.refuse(&place, "is there twice");
            }
            grades.push((least, pricing));
        }
        if raw.grades.is_empty() {
            self.refuse(&format!("{at}.grades"), "is missing");
        }
        let otherwise = self.part(&format!("{at}.otherwise"), raw.otherwise.as_deref(), counting, depth);
        grades.sort_by_key(|(least, _)| std::cmp::Reverse(*least));
        let grades: Option<Vec<_>> = grades.into_iter().map(|(least, grade)| Some((least, grade?))).collect();
        Some(Pricing::Standing { grades: grades?, otherwise: Box::new(otherwise?) })
    }

    fn per_unit(&mut self, at: &str, raw: &RawPricing, counting: Counting<'_>) -> Option<Pricing> {
        let measure = match &raw.measure {
            Some(measure) => self.measure(&format!("{at}.measure"), measure),
            None => {
                self.refuse(&format!("{at}.measure"), "is missing: what is counted in the arguments");
                None
            }
        };
        if raw.size == Some(0) {
            self.refuse(&format!("{at}.size"), "is at least 1");
        }
        let options = self.units(at, raw, counting);
        Some(Pricing::PerUnit { measure: measure?, size: raw.size.unwrap_or(1), options })
    }

    fn per_result(&mut self, at: &str, raw: &RawPricing, counting: Counting<'_>) -> Option<Pricing> {
        let problems = self.problems.len();
        let options = self.units(at, raw, counting);
        if self.problems.len() > problems {
            return None;
        }
        match ResultPrice::new(raw.size.unwrap_or(RESULT_UNIT), options) {
            Ok(price) => Some(Pricing::PerResult(price)),
            Err(error) => {
                let member = match error {
                    ResultPriceError::NoSize => "size",
                    ResultPriceError::NoMaximum(_) => "maximum",
                    ResultPriceError::Nothing(_) => "minimum",
                    ResultPriceError::Constant(_) | ResultPriceError::Twice(_) => "each",
                };
                self.refuse(&format!("{at}.{member}"), error.to_string());
                None
            }
        }
    }

    /// What units of something cost, in each asset.
    fn units(&mut self, at: &str, raw: &RawPricing, counting: Counting<'_>) -> Vec<UnitPrice> {
        let each = self.sums(&format!("{at}.each"), &raw.each, counting);
        if raw.each.is_empty() {
            self.refuse(&format!("{at}.each"), "is missing: what a unit costs");
        }
        let assets: Vec<Asset> = each.iter().map(|sum| sum.asset.clone()).collect();
        let base = self.beside(&format!("{at}.base"), &raw.base, &assets, counting);
        let bounds = self.bounds(at, raw, &assets, counting);
        let options = each.into_iter().zip(base).zip(bounds).map(|((each, base), bounds)| UnitPrice {
            asset: each.asset,
            base: base.unwrap_or_default(),
            each: each.amount,
            bounds,
        });
        options.collect()
    }

    fn formula(&mut self, at: &str, raw: &RawPricing, counting: Counting<'_>) -> Option<Pricing> {
        let mut measures = Vec::new();
        for (name, measure) in &raw.measures {
            let here = format!("{at}.measures.{name}");
            let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && !["min", "max"].contains(&name.as_str());
            if !is_name {
                self.refuse(
                    &here,
                    "is no name for a formula: a letter, then letters, digits and _; not min or max",
                );
            }
            measures.extend(self.measure(&here, measure).map(|measure| (name.clone(), measure)));
        }
        if raw.formula.is_empty() {
            self.refuse(&format!("{at}.formula"), "is missing: a formula for each asset");
        }
        let mut formulas: Vec<(Asset, Formula)> = Vec::new();
        for (symbol, text) in &raw.formula {
            let here = format!("{at}.formula.{symbol}");
            let asset = counting.assets.by_symbol(symbol).cloned();
            if asset.is_none() {
                self.refuse_money(&here, &counting.assets.unknown(symbol));
            }
            let formula: Formula = match text.parse() {
                Ok(formula) => formula,
                Err(error) => {
                    let error: tollgate_domain::FormulaError = error;
                    self.refuse(&here, error.to_string());
                    continue;
                }
            };
            for name in formula.names() {
                if !raw.measures.contains_key(name) {
                    self.refuse(&here, format!("{name:?} is not among the measures"));
                }
            }
            formulas.extend(asset.map(|asset| (asset, formula)));
        }
        let unused =
            |name: &&String| !formulas.iter().any(|(_, formula)| formula.names().contains(&name.as_str()));
        let unused: Vec<&String> = raw.measures.keys().filter(unused).collect();
        if formulas.len() == raw.formula.len() {
            for name in unused {
                self.refuse(&format!("{at}.measures.{name}"), "is in no formula");
            }
        }
        // In the order of the gateway's assets: a mapping has none of its own.
        let place = |asset: &Asset| counting.assets.iter().position(|known| known == asset);
        formulas.sort_by_key(|(asset, _)| place(asset));
        let assets: Vec<Asset> = formulas.iter().map(|(asset, _)| asset.clone()).collect();
        let bounds = self.bounds(at, raw, &assets, counting);
        let options = formulas.into_iter().zip(bounds).map(|((asset, formula), bounds)| Computed {
            asset,
            formula,
            bounds,
        });
        Some(Pricing::Formula { measures, options: options.collect() })
    }

    fn windows(
        &mut self,
        at: &str,
        raw: &RawPricing,
        counting: Counting<'_>,
        depth: usize,
    ) -> Option<Pricing> {
        let mut windows = Vec::new();
        for (index, window) in raw.windows.iter().enumerate() {
            let here = format!("{at}.windows[{index}]");
            let meant = Days::named(window.days.iter().map(String::as_str))
                .and_then(|days| Window::new(days, &window.from, &window.to));
            let meant = meant.map_err(|error| self.refuse(&here, error.to_string())).ok();
            let pricing =
                self.price_of(&format!("{here}.price"), &window.price, counting, depth.saturating_add(1));
            windows.push((meant, pricing));
        }
        if windows.is_empty() {
            self.refuse(&format!("{at}.windows"), "is missing");
        }
        let otherwise = self.part(&format!("{at}.otherwise"), raw.otherwise.as_deref(), counting, depth);
        let windows: Option<Vec<_>> =
            windows.into_iter().map(|(window, pricing)| Some((window?, pricing?))).collect();
        Some(Pricing::Windows { windows: windows?, otherwise: Box::new(otherwise?) })
    }

    fn measure(&mut self, at: &str, raw: &RawMeasure) -> Option<Measure> {
        let is_pointer = raw.argument.starts_with('/')
            && raw.argument.len() <= 256
            && raw.argument.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        if !is_pointer {
            self.refuse(
                &format!("{at}.argument"),
                format!("{:?} is no JSON Pointer into the arguments, such as /text", raw.argument),
            );
        }
        let of = self.parse(&format!("{at}.of"), &raw.of, "number, characters or items");
        Some(Measure { pointer: raw.argument.clone(), of: of?, absent: raw.absent })
    }

    fn period(&mut self, at: &str, raw: &RawPricing) -> Option<Period> {
        self.parse(&format!("{at}.per"), raw.per.as_deref().unwrap_or_default(), "day, month or ever")
    }

    fn calls(&mut self, at: &str, calls: Option<u64>) -> Option<u64> {
        let calls = calls.filter(|calls| (1..=COUNTED_MAX).contains(calls));
        if calls.is_none() {
            self.refuse(at, format!("is a number of calls from 1 to {COUNTED_MAX}"));
        }
        calls
    }

    /// A price per call. Zero is said by an empty list, so that it is never an oversight.
    fn amounts(&mut self, at: &str, texts: &[String], counting: Counting<'_>) -> Option<Price> {
        let problems = self.problems.len();
        let options = self.sums(at, texts, counting);
        for (index, _) in options.iter().enumerate().filter(|(_, option)| option.amount.is_zero()) {
            self.refuse(&format!("{at}[{index}]"), "a price of zero is written as an empty list");
        }
        (self.problems.len() == problems).then(|| Price::any_of(options))
    }

    /// Amounts, each in an asset of its own.
    fn sums(&mut self, at: &str, texts: &[String], counting: Counting<'_>) -> Vec<Money> {
        let mut sums: Vec<Money> = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let here = format!("{at}[{index}]");
            let is_bare = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let sum = match counting.bare.filter(|_| is_bare) {
                Some(asset) => text
                    .parse::<Amount>()
                    .map(|amount| Money { amount, asset: asset.clone() })
                    .map_err(MoneyError::from),
                None => counting.assets.parse(text),
            };
            match sum {
                Ok(sum) => sums.push(sum),
                Err(error) => self.refuse_money(&here, &error),
            }
        }
        sums
    }

    /// For each of the assets, the amount in it, if there is one. One in any other asset is refused.
    fn beside(
        &mut self,
        at: &str,
        texts: &[String],
        assets: &[Asset],
        counting: Counting<'_>,
    ) -> Vec<Option<Amount>> {
        let sums = self.sums(at, texts, counting);
        for sum in sums.iter().filter(|sum| !assets.contains(&sum.asset)) {
            self.refuse(at, format!("{sum} is in no asset that this price is in"));
        }
        let of = |asset: &Asset| sums.iter().find(|sum| sum.asset == *asset).map(|sum| sum.amount);
        assets.iter().map(of).collect()
    }

    fn bounds(
        &mut self,
        at: &str,
        raw: &RawPricing,
        assets: &[Asset],
        counting: Counting<'_>,
    ) -> Vec<Bounds> {
        let least = self.beside(&format!("{at}.minimum"), &raw.minimum, assets, counting);
        let most = self.beside(&format!("{at}.maximum"), &raw.maximum, assets, counting);
        let bounds = least
            .into_iter()
            .zip(most)
            .map(|(minimum, maximum)| Bounds { minimum: minimum.unwrap_or(Bounds::PLAIN.minimum), maximum });
        let bounds: Vec<Bounds> = bounds.collect();
        if bounds.iter().any(|bounds| bounds.maximum.is_some_and(|maximum| maximum < bounds.minimum)) {
            self.refuse(&format!("{at}.maximum"), "is less than the minimum");
        }
        bounds
    }
}

/// The members of a rule that were written, but for those that every rule has.
fn written(raw: &RawPricing) -> Vec<&'static str> {
    let RawPricing { kind: _, asset: _, price, calls, per, then, .. } = raw;
    let RawPricing { tiers, grades, otherwise, measure, size, each, base, .. } = raw;
    let RawPricing { minimum, maximum, measures, formula, windows, .. } = raw;
    let members = [
        ("price", price.is_some()),
        ("calls", calls.is_some()),
        ("per", per.is_some()),
        ("then", then.is_some()),
        ("tiers", !tiers.is_empty()),
        ("grades", !grades.is_empty()),
        ("otherwise", otherwise.is_some()),
        ("measure", measure.is_some()),
        ("size", size.is_some()),
        ("each", !each.is_empty()),
        ("base", !base.is_empty()),
        ("minimum", !minimum.is_empty()),
        ("maximum", !maximum.is_empty()),
        ("measures", !measures.is_empty()),
        ("formula", !formula.is_empty()),
        ("windows", !windows.is_empty()),
    ];
    members.into_iter().filter(|(_, is_written)| *is_written).map(|(name, _)| name).collect()
}
