use proptest::prelude::*;

use super::*;
use crate::Asset;
use crate::pricing::Bounds;

fn usdc() -> Asset {
    Asset::new("eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e", "USDC", 6).unwrap()
}

fn sat() -> Asset {
    Asset::new("lightning:regtest/msat", "sat", 3).unwrap()
}

fn option(base: u128, each: u128, minimum: u128, maximum: Option<u128>) -> UnitPrice {
    let bounds = Bounds { minimum: Amount::new(minimum), maximum: maximum.map(Amount::new) };
    UnitPrice { asset: usdc(), base: Amount::new(base), each: Amount::new(each), bounds }
}

fn one(bytes: u64, option: UnitPrice) -> Result<ResultPrice, ResultPriceError> {
    ResultPrice::new(bytes, vec![option])
}

#[test]
fn a_begun_unit_counts_whole_and_nothing_costs_more_than_the_maximum() {
    let price = one(1024, option(200, 100, 1, Some(1_000))).unwrap();
    let of = |bytes| price.of(usdc().id(), bytes).unwrap().get();
    assert_eq!(
        [0, 1, 1024, 1025, 8 * 1024, 8 * 1024 + 1, u64::MAX].map(of),
        [200, 300, 300, 400, 1000, 1000, 1000]
    );
    assert_eq!(price.of(sat().id(), 1), None, "it is not priced in that");
    assert_eq!((price.bytes(), price.options()), (1_024, &[option(200, 100, 1, Some(1_000))][..]));
    assert_eq!(price.maximum().options(), [Money { amount: Amount::new(1_000), asset: usdc() }]);
    assert_eq!(
        price.to_string(),
        "0.0002 USDC and 0.0001 USDC for each 1024 bytes of the result, at most 0.001 USDC"
    );
}

#[test]
fn p8_what_cannot_be_quoted_or_is_no_price_by_size_is_refused() {
    let usdc = || "USDC".to_owned();
    for (bytes, refused, error) in [
        (0, option(0, 1, 1, Some(9)), ResultPriceError::NoSize),
        (1, option(0, 1, 1, None), ResultPriceError::NoMaximum(usdc())),
        (1, option(0, 1, 0, Some(9)), ResultPriceError::Nothing(usdc())),
        (1, option(5, 0, 1, Some(9)), ResultPriceError::Constant(usdc())),
        (1, option(8, 1, 1, Some(9)), ResultPriceError::Constant(usdc())),
        (1, option(u128::MAX, 1, 1, Some(9)), ResultPriceError::Constant(usdc())),
    ] {
        assert_eq!(one(bytes, refused), Err(error));
    }
    let twice = vec![option(0, 1, 1, Some(9)), option(0, 2, 1, Some(9))];
    assert_eq!(ResultPrice::new(1, twice), Err(ResultPriceError::Twice(usdc())));
    assert!(one(1, option(7, 1, 1, Some(9))).is_ok(), "control");
}

proptest! {
    #[test]
    fn a_price_is_within_its_bounds_and_never_falls_with_the_size(
        bytes in 1_u64..=1 << 40, base in any::<u128>(), each in any::<u128>(), minimum in 1_u128..,
        maximum in any::<u128>(), size in any::<u64>(), more in any::<u64>(),
    ) {
        let Ok(price) = one(bytes, option(base, each, minimum, Some(maximum))) else { return Ok(()) };
        let of = |size| price.of(usdc().id(), size).unwrap().get();
        let (small, large) = (of(size), of(size.saturating_add(more)));
        prop_assert!(minimum <= small && small <= large && large <= maximum, "{minimum} {small} {large} {maximum}");
        let units = u128::from(size.div_ceil(bytes));
        if let Some(exact) = each.checked_mul(units).and_then(|units| units.checked_add(base)) {
            prop_assert_eq!(small, exact.clamp(minimum, maximum));
        }
    }

    #[test]
    fn realistic_prices_are_made_and_reckoned(
        bytes in 1_u64..5_000, base in 0_u128..1_000, each in 1_u128..1_000, units in 1_u128..1_000, size in 0_u64..10_000_000,
    ) {
        let maximum = base + each * (units + 1);
        let price = one(bytes, option(base, each, 1, Some(maximum))).unwrap();
        let begun = u128::from(size).div_ceil(u128::from(bytes));
        prop_assert_eq!(price.of(usdc().id(), size).unwrap().get(), (base + each * begun).clamp(1, maximum));
    }
}
