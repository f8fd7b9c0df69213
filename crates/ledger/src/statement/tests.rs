use proptest::prelude::*;
use tollgate_domain::UnixMillis;

use super::*;

const ASSETS: [&str; 2] =
    ["lightning:regtest/msat", "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e"];

fn account(name: &str) -> AccountName {
    name.parse().unwrap()
}

fn transfer(id: u8, kind: TransferKind, debit: &str, credit: &str, amount: u128) -> Transfer {
    Transfer {
        id: TransferId::from_bytes([id; 16]),
        kind,
        debit: account(debit),
        credit: account(credit),
        asset: ASSETS[0].parse().unwrap(),
        amount: Amount::new(amount),
        call: None,
        note: String::new(),
        at: UnixMillis::new(u64::from(id)),
        expires: None,
    }
}

/// What each transfer said: effect, side, balance and what is reserved.
fn lines(of: &str, transfers: &[Transfer]) -> Vec<String> {
    let mut statement = Statement::of(account(of));
    let taken = transfers.iter().filter_map(|transfer| statement.take(transfer).unwrap());
    taken
        .map(|line| format!("{:?} {:?} {} {}", line.effect, line.side, line.balance, line.reserved))
        .collect()
}

const ALICE: &str = "credit:eip155:0x00000000000000000000000000000000000000aa";

#[test]
fn a_statement_tells_what_moved_what_is_reserved_and_what_was_released() {
    let of = |id| TransferId::from_bytes([id; 16]);
    let transfers = [
        transfer(1, TransferKind::Posted, "clearing:manual", ALICE, 100),
        transfer(2, TransferKind::Pending, ALICE, "payable:up", 30),
        transfer(3, TransferKind::Pending, ALICE, "payable:up", 5),
        transfer(4, TransferKind::PostPending(of(2)), ALICE, "payable:up", 20),
        transfer(5, TransferKind::VoidPending(of(3)), ALICE, "payable:up", 5),
    ];
    let alice = [
        "Moved Credit 100 0",
        "Reserved Debit 100 30",
        "Reserved Debit 100 35",
        "Moved Debit 80 5",
        "Released Debit 80 0",
    ];
    assert_eq!(lines(ALICE, &transfers), alice);
    let server = ["Reserved Credit 0 0", "Reserved Credit 0 0", "Moved Credit 20 0", "Released Credit 20 0"];
    assert_eq!(lines("payable:up", &transfers), server);
    assert_eq!(lines("clearing:manual", &transfers), ["Moved Debit -100 0"]);
    assert!(lines("payable:other", &transfers).is_empty());
}

proptest! {
    #[test]
    fn the_last_line_is_the_sum_of_all_and_debits_equal_credits_over_all_accounts(
        moves in proptest::collection::vec((0_usize..3, 0_usize..3, 1_u64..1_000, 0_usize..2), 0..40),
    ) {
        let names = ["clearing:manual", ALICE, "payable:up"];
        let transfers: Vec<Transfer> = (0_u8..)
            .zip(moves.iter().filter(|(debit, credit, ..)| debit != credit))
            .map(|(id, (debit, credit, amount, asset))| Transfer {
                asset: ASSETS[*asset].parse().unwrap(),
                ..transfer(id, TransferKind::Posted, names[*debit], names[*credit], u128::from(*amount))
            })
            .collect();
        for asset in ASSETS {
            let asset: AssetId = asset.parse().unwrap();
            let mut total = 0_i128;
            for name in names {
                let mut statement = Statement::of(account(name));
                for transfer in &transfers {
                    statement.take(transfer).unwrap();
                }
                let net: i128 = statement
                    .balances()
                    .find(|(of, ..)| **of == asset)
                    .map_or(0, |(_, net, _)| net.to_string().parse().unwrap());
                let plain: i128 = transfers
                    .iter()
                    .filter(|transfer| transfer.asset == asset)
                    .map(|transfer| {
                        let amount = i128::try_from(transfer.amount.get()).unwrap();
                        let is = |side: &AccountName| i128::from(*side == account(name));
                        amount * (is(&transfer.credit) - is(&transfer.debit))
                    })
                    .sum();
                prop_assert_eq!(net, plain);
                total += net;
            }
            prop_assert_eq!(total, 0);
        }
    }
}
