use serde_json::{Value, json};

use super::Books;

fn transfer(id: &str, kind: &str, resolves: Option<&str>, from: &str, to: &str, amount: &str) -> Value {
    json!({
        "id": id, "kind": kind, "resolves": resolves, "debit": from, "credit": to, "asset": "usdc", "amount": amount,
        "call_id": (!from.starts_with("clearing:")).then_some("call"),
    })
}

fn account(name: &str, [debits, credits, debits_pending, credits_pending]: [u128; 4]) -> Value {
    json!({
        "asset": "usdc", "account": name,
        "debits_posted": debits.to_string(), "credits_posted": credits.to_string(),
        "debits_pending": debits_pending.to_string(), "credits_pending": credits_pending.to_string(),
    })
}

/// What is planted, a word of what is found, and how it is planted.
type Fault = (&'static str, &'static str, fn(&mut Books));

/// Ten came in as credit, seven of it were set aside for a call, and five were charged.
fn books() -> Books {
    Books {
        transfers: vec![
            transfer("t1", "posted", None, "clearing:manual", "credit:a", "10"),
            transfer("t2", "pending", None, "credit:a", "payable:s", "7"),
            transfer("t3", "post_pending", Some("t2"), "credit:a", "payable:s", "5"),
        ],
        settlements: vec![json!({
            "call_id": "call", "state": "settled", "amount": "7", "refunded": "2", "receipt_id": "rcpt",
        })],
        accounts: vec![
            account("clearing:manual", [10, 0, 0, 0]),
            account("credit:a", [5, 10, 0, 0]),
            account("payable:s", [0, 5, 0, 0]),
        ],
    }
}

#[test]
fn books_in_order_have_no_finding_and_each_fault_has_one() {
    assert_eq!(books().findings(), Vec::<String>::new(), "control");
    let faults: [Fault; 14] = [
        ("an id twice", "twice", |books| books.transfers[2]["id"] = json!("t1")),
        ("nothing", "moves nothing", |books| books.transfers[0]["amount"] = json!("0")),
        ("no amount", "amount", |books| books.transfers[0]["amount"] = json!(10)),
        ("one account", "moves nothing", |books| books.transfers[0]["credit"] = json!("clearing:manual")),
        ("another kind", "no kind", |books| books.transfers[0]["kind"] = json!("gift")),
        ("more than was set aside", "larger", |books| books.transfers[2]["amount"] = json!("8")),
        ("another payee", "another movement", |books| books.transfers[2]["credit"] = json!("payable:t")),
        ("nothing set aside", "resolves nothing", |books| books.transfers[2]["resolves"] = json!("t9")),
        ("resolved twice", "resolved before", |books| {
            let again = transfer("t4", "void_pending", Some("t2"), "credit:a", "payable:s", "7");
            books.transfers.push(again);
        }),
        ("overdrawn", "has less", |books| books.transfers[0]["amount"] = json!("6")),
        ("another total", "sum to", |books| books.accounts[2] = account("payable:s", [0, 6, 0, 0])),
        ("an account that is gone", "differ", |books| drop(books.accounts.remove(2))),
        ("charged and voided", "is kept", |books| books.settlements[0]["state"] = json!("voided")),
        ("charged without a receipt", "without a receipt", |books| {
            books.settlements[0]["receipt_id"] = Value::Null
        }),
    ];
    for (fault, word, plant) in faults {
        let mut books = books();
        plant(&mut books);
        let found = books.findings();
        assert!(found.iter().any(|finding| finding.contains(word)), "{fault}: {found:?}");
    }
}

#[test]
fn money_of_a_call_that_has_no_settlement_or_two_is_found() {
    let mut lost = books();
    lost.settlements.clear();
    assert!(lost.findings().iter().any(|finding| finding.contains("no settlement")), "{:?}", lost.findings());
    let mut twice = books();
    twice.settlements.push(twice.settlements[0].clone());
    assert!(
        twice.findings().iter().any(|finding| finding.contains("settled twice")),
        "{:?}",
        twice.findings()
    );
}
