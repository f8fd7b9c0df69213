use super::*;
use crate::plan::{empty_ledger, plan};

/// How many proofs are in the small and in the large table.
fn counts(file: &Connection) -> (u64, u64) {
    let count = |table| {
        file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| convert::count(row, 0)).unwrap()
    };
    (count("proofs_lately"), count("proofs"))
}

fn proof(number: u64) -> [u8; 16] {
    digest(&number.to_string())
}

#[test]
fn proofs_move_by_thousands_and_each_attempt_is_spent_once_before_and_after() {
    let file = empty_ledger();
    let (mut proofs, mut redo) = (Proofs::default(), Redo::default());
    let spend = |proofs: &mut Proofs, redo: &mut Redo, number, attempt| {
        proofs.spend(&mut Statement::of(&file, SPEND)?, redo, proof(number), attempt)
    };
    proofs.move_if_many(&file).unwrap();
    for number in 1..TOGETHER {
        spend(&mut proofs, &mut redo, number, 1).unwrap();
    }
    assert!(spend(&mut proofs, &mut redo, 1, 1).is_err(), "new, and spent");
    proofs.move_if_many(&file).unwrap();
    assert_eq!(counts(&file), (TOGETHER - 1, 0), "one too few");
    spend(&mut proofs, &mut redo, TOGETHER, 1).unwrap();
    proofs.move_if_many(&file).unwrap();
    assert_eq!(counts(&file), (0, TOGETHER));

    assert!(spend(&mut proofs, &mut redo, 1, 1).is_err(), "moved, and spent");
    spend(&mut proofs, &mut redo, 1, 2).unwrap();
    assert_eq!(counts(&file), (1, TOGETHER));
    // Another session counts what is there.
    let mut again = Proofs::default();
    again.move_if_many(&file).unwrap();
    assert_eq!((again.lately, counts(&file)), (Some(1), (1, TOGETHER)));
}

#[test]
fn what_is_noted_can_be_written_again() {
    let (one, other) = (empty_ledger(), empty_ledger());
    let (mut proofs, mut redo) = (Proofs::default(), Redo::default());
    for file in [&one, &other] {
        file.execute("INSERT INTO signers (id, key) VALUES (7, zeroblob(32))", []).unwrap();
    }
    redo.note(SPEND, params![proof(1), 1]).unwrap();
    proofs.spend(&mut Statement::of(&one, SPEND).unwrap(), &mut redo, proof(1), 1).unwrap();
    let noted = redo.take(1).unwrap();
    crate::redo::again(&other, [noted]).unwrap();
    let spent = |file: &Connection| {
        let all = "SELECT proof, attempt, settlement FROM proofs_lately";
        file.query_row(all, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap()
    };
    assert_eq!(spent(&one), (proof(1), 1, 7));
    assert_eq!(spent(&other), (proof(1), 1, 7));
}

#[test]
fn an_attempt_is_found_in_an_index_whatever_was_paid_with() {
    let file = empty_ledger();
    let credit = concat!("SELECT call FROM settlements WHERE key = ?1 AND ", is_credit!());
    assert!(plan(&file, credit).iter().all(|step| step.contains("settlements_credit")));
    let spent = "SELECT settlement FROM proofs WHERE proof = ?1 ORDER BY attempt DESC LIMIT 1";
    assert_eq!(plan(&file, spent), ["SEARCH proofs USING PRIMARY KEY (proof=?)"]);
    // Control: other keys are in no index.
    assert_eq!(plan(&file, "SELECT call FROM settlements WHERE key = ?1"), ["SCAN settlements"]);
}
