//! Whose money a payout takes, and in whose limit per day that counts.

use std::fmt;
use std::str::FromStr;

use tollgate_domain::{AdminKeyId, Principal, ServerName};

use super::command::Actor;
use super::destination::{Destination, PayoutRail};
use super::provider::{ProviderName, ProviderNameError};
use crate::AccountName;

/// Whose money a payout takes, and at whose word.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// What a server has earned, to a destination that is listed for its provider.
    Earned {
        /// Who is paid.
        provider: ProviderName,
        /// Whose earnings.
        server: ServerName,
        /// Who asked: somebody who may withdraw for the provider.
        by: Principal,
    },
    /// Credit of a wallet, back to the wallet itself: nobody has to list its address, and no other one will do.
    Credit {
        /// Whose credit.
        wallet: Principal,
        /// The operator who asked: with an admin key, or on the command line.
        by: Option<AdminKeyId>,
    },
}

/// In whose limit per day payouts count. Written as the provider, or `credit:*`, which is no provider's name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Payee {
    /// Those of one provider.
    Provider(ProviderName),
    /// Those of credit, of all wallets together: what one stolen admin key could send away in a day.
    Wallets,
}

impl Source {
    /// The account that a payout debits.
    pub fn account(&self) -> AccountName {
        match self {
            Self::Earned { server, .. } => AccountName::Payable(server.clone()),
            Self::Credit { wallet, .. } => AccountName::Credit(wallet.clone()),
        }
    }

    /// In whose limit per day it counts.
    pub fn payee(&self) -> Payee {
        match self {
            Self::Earned { provider, .. } => Payee::Provider(provider.clone()),
            Self::Credit { .. } => Payee::Wallets,
        }
    }

    /// Who is paid what a server earned.
    pub const fn provider(&self) -> Option<&ProviderName> {
        match self {
            Self::Earned { provider, .. } => Some(provider),
            Self::Credit { .. } => None,
        }
    }

    /// Who asked, as text.
    pub fn asked_by(&self) -> String {
        match self {
            Self::Earned { by, .. } => by.to_string(),
            Self::Credit { by, .. } => Actor::Operator(*by).to_string(),
        }
    }

    /// Whether the same money is asked for. Operators are one party: whichever of them asks again, it is the same payout.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Credit { wallet, .. }, Self::Credit { wallet: of, .. }) => wallet == of,
            (Self::Earned { .. } | Self::Credit { .. }, _) => self == other,
        }
    }

    /// Whether money of this source may ever go there: earnings wherever a list says, credit to its own wallet on a chain alone. In the
    /// sandbox a wallet's credit is its balance, so it is there already.
    pub(crate) fn may_reach(&self, destination: &Destination) -> bool {
        match self {
            Self::Earned { .. } => true,
            Self::Credit { wallet, .. } => {
                destination.rail() == PayoutRail::Evm && destination.wallet().as_ref() == Some(wallet)
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earned { provider, server, .. } => write!(f, "{provider}/{server}"),
            Self::Credit { wallet, .. } => write!(f, "credit:{wallet}"),
        }
    }
}

impl Payee {
    /// The text form.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Provider(name) => name.as_str(),
            Self::Wallets => "credit:*",
        }
    }
}

impl fmt::Display for Payee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Payee {
    type Err = ProviderNameError;

    fn from_str(text: &str) -> Result<Self, ProviderNameError> {
        match text {
            "credit:*" => Ok(Self::Wallets),
            name => name.parse().map(Self::Provider),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payee_has_one_text_form_and_no_provider_is_called_like_the_wallets() {
        for text in ["acme", "credit", "credit:*"] {
            assert_eq!(text.parse::<Payee>().unwrap().to_string(), text);
        }
        assert_eq!("credit:*".parse(), Ok(Payee::Wallets));
        assert_eq!("credit".parse::<Payee>().unwrap(), Payee::Provider("credit".parse().unwrap()));
        for text in ["", "*", "credit:", "credit:acme"] {
            assert!(text.parse::<Payee>().is_err(), "{text}");
        }
    }
}
