use std::collections::VecDeque;
use std::sync::Mutex;

use tollgate_egress::EgressError;
use tollgate_rails::lightning::Preimage;

use super::*;
use crate::LightningFuture;

/// A wallet that gives prepared answers.
struct Prepared(Mutex<VecDeque<Result<Preimage, LightningError>>>);

impl LightningPayer for Prepared {
    fn name(&self) -> &str {
        "prepared"
    }

    fn pay<'a>(&'a self, _bolt11: &'a str) -> LightningFuture<'a> {
        let answer = self.0.lock().unwrap().pop_front().unwrap();
        Box::pin(std::future::ready(answer))
    }
}

fn unclear() -> LightningError {
    LightningError::Unclear(EgressError::Timeout(1))
}

fn refused() -> LightningError {
    LightningError::Refused("no route".to_owned())
}

async fn pay_with(answers: impl IntoIterator<Item = LightningError>) -> PayError {
    let wallet = Prepared(Mutex::new(answers.into_iter().map(Err).collect()));
    let offer =
        L402Offer { macaroon: "token".to_owned(), bolt11: "invoice".to_owned(), payment_hash: [0; 32] };
    match pay(&offer, &wallet).await {
        Err(error) => error,
        Ok(_) => panic!("nobody paid"),
    }
}

#[tokio::test]
async fn a_payment_that_was_unclear_once_is_not_taken_for_one_that_was_never_made() {
    for second in [refused(), unclear()] {
        let error = pay_with([unclear(), second]).await;
        assert!(matches!(error, PayError::Lightning(LightningError::Unclear(_))), "{error:?}");
        assert!(!nothing_left_the_wallet(&error));
    }
    let error = pay_with([refused()]).await;
    assert!(nothing_left_the_wallet(&error), "positive control: a wallet that says no at once");
}
