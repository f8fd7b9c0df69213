//! `tollgate doctor` and the networks that money is on: a chain of its own, a real LNbits.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use tollgate_testkit::journal_server::{Journal, Script};
use tollgate_testkit::peers::anvil::{PAYEE, RELAYER};
use tollgate_testkit::peers::{Chain, Lnbits, available, port};

use crate::world::{Gateway, command};

/// The public key of some Lightning node: the generator of secp256k1 (SEC 2, section 2.4.1).
const NODE: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

/// What the doctor says, and whether it found nothing.
fn doctor(folder: &Path, environment: &[(&str, &str)]) -> (bool, String) {
    let listen = format!("127.0.0.1:{}", port::free().unwrap());
    let mut doctor = command(folder);
    doctor.args(["doctor", "--config", "tollgate.yaml", "--data", "data", "--listen", &listen]);
    let output = doctor.envs(environment.iter().copied()).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_asks_the_chain_which_one_it_is_and_whether_the_relayer_has_gas() {
    let Some(chain) = available(Chain::start().await) else { return };
    let folder = tempfile::tempdir().unwrap();
    let configured = |network: &str| {
        let (node, payee) = (chain.rpc_url(), PAYEE.address);
        let yaml = format!(
            "payment: {{ x402: {{ network: {network}, rpc_url: \"{node}\", pay_to: \"{payee}\" }} }}\n"
        );
        std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    };
    configured("base-sepolia");
    let (is_well, said) = doctor(folder.path(), &[]);
    assert!(is_well && said.contains("✓ chain node of eip155:84532"), "{said}");
    assert!(said.contains("· gas of the relayer on eip155:84532: there is no relayer yet"), "{said}");

    let key = folder.path().join("data/relayer.key");
    let write = |digits: &str| {
        std::fs::write(&key, digits.trim_start_matches("0x")).unwrap();
        let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600);
        std::fs::set_permissions(&key, mode).unwrap();
    };
    write(RELAYER.private_key);
    let (is_well, said) = doctor(folder.path(), &[]);
    assert!(is_well && said.contains("✓ gas of the relayer"), "{said}");
    // An account that nobody has sent anything.
    write(&"5e".repeat(32));
    let (is_well, said) = doctor(folder.path(), &[]);
    assert!(!is_well && said.contains("✗ gas of the relayer") && said.contains("send it some"), "{said}");

    configured("base");
    let (is_well, said) = doctor(folder.path(), &[]);
    assert!(!is_well && said.contains("✗ chain node of eip155:8453"), "{said}");
    assert!(said.contains("it serves eip155:84532") && !said.contains("gas of the relayer"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_asks_lnbits_whether_it_takes_the_keys() {
    let Some(lnbits) = available(Lnbits::start().await) else { return };
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::start(Script::echo()).await.unwrap();
    let yaml = format!(
        "servers: {{ up: {{ url: \"{}\" }} }}\n\
         payment:\n  lightning: {{ network: regtest, lnbits_url: \"{}\", lnbits_invoice_key: \"${{INVOICE_KEY}}\" }}\n\
         payouts:\n  lnbits_admin_key: \"${{ADMIN_KEY}}\"\n  providers:\n    acme:\n      servers: [up]\n      keys: []\n      \
         destinations: [\"{NODE}\"]\n      limits: [{{ per_payout: 5sat, per_day: 8sat }}]\n",
        journal.url(),
        lnbits.url(),
    );
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let (invoice, admin) = (lnbits.gate_invoice_key(), lnbits.gate_admin_key());
    let asked = |invoice: &str, admin: &str| {
        let (is_well, said) = doctor(folder.path(), &[("INVOICE_KEY", invoice), ("ADMIN_KEY", admin)]);
        for secret in [invoice, admin] {
            assert!(!said.contains(secret), "{said}");
        }
        (is_well, said)
    };
    let (is_well, said) = asked(invoice, admin);
    assert!(is_well && said.contains("✓ invoice key of") && said.contains("✓ admin key of"), "{said}");
    let (is_well, said) = asked("00000000000000000000000000000000", admin);
    assert!(!is_well && said.contains("✗ invoice key of") && said.contains("LNbits refuses it"), "{said}");
    let (is_well, said) = asked(admin, invoice);
    assert!(!is_well && said.contains("· invoice key of") && said.contains("can spend"), "{said}");
    assert!(said.contains("✗ admin key of") && said.contains("it cannot spend"), "{said}");
}

#[tokio::test]
async fn the_doctor_knows_its_own_gateway_from_another_one_at_its_address() {
    let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let gateway = Gateway::dev(own.path()).await;
    let listen = gateway.url.trim_start_matches("http://").to_owned();
    let doctor = |folder: &Path, listen: &str| {
        let output = command(folder).args(["doctor", "--data", "data", "--listen", listen]).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (is_well, said) = doctor(own.path(), &listen);
    assert!(is_well && said.contains("the gateway of this data directory runs there"), "{said}");
    let (is_well, said) = doctor(other.path(), &listen);
    assert!(!is_well && said.contains("another gateway runs there"), "{said}");
    // Nobody there speaks HTTP, or at all.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (is_well, said) = doctor(own.path(), &silent.local_addr().unwrap().to_string());
    assert!(!is_well && said.contains("choose another address"), "{said}");
    assert!(!said.contains("gateway runs there") && !said.contains("runs there"), "{said}");
}

#[tokio::test]
async fn the_doctor_looks_for_the_programs_of_servers() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = "servers:\n  there: { command: [sh] }\n  gone: { command: [no-such-program, argument] }\n  \
                elsewhere: { command: [./sh], cwd: /nowhere }\n";
    std::fs::write(folder.path().join("tollgate.yaml"), yaml).unwrap();
    let (is_well, said) = doctor(folder.path(), &[]);
    assert!(!is_well && said.contains("✓ program of server there"), "{said}");
    assert!(said.contains("✗ program of server gone: \"no-such-program\" is no program"), "{said}");
    assert!(said.contains("✗ program of server elsewhere: \"./sh\" is no program"), "{said}");
    assert!(said.contains("· data directory data: it was not there"), "a misspelled one is no other: {said}");
    assert!(doctor(folder.path(), &[]).1.contains("✓ data directory data"), "{said}");
}

#[tokio::test]
async fn the_doctor_tells_the_token_for_the_metrics_to_its_own_gateway_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("tollgate.yaml"),
        "metrics: { token: \"metrics-token-of-the-operator\" }\n",
    )
    .unwrap();
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = stranger.local_addr().unwrap().to_string();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hearing = Arc::clone(&heard);
    // It ends with the test's process.
    std::thread::spawn(move || {
        for mut socket in stranger.incoming().map_while(Result::ok) {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && matches!(socket.read(&mut byte), Ok(1)) {
                head.extend(byte);
            }
            hearing.lock().unwrap().push(String::from_utf8(head).unwrap());
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\nconnection: close\r\n\r\n{\"keys\":[]}";
            drop(socket.write_all(answer));
        }
    });
    let mut asked = command(folder.path());
    asked.args(["doctor", "--config", "tollgate.yaml", "--data", "data", "--listen", &address]);
    let said = String::from_utf8(asked.output().unwrap().stdout).unwrap();
    assert!(said.contains("another gateway runs there"), "{said}");
    let heard = heard.lock().unwrap();
    assert!(heard.iter().any(|head| head.starts_with("GET /.well-known/jwks.json")), "control: {heard:?}");
    assert!(!heard.iter().any(|head| head.to_ascii_lowercase().contains("authorization")), "{heard:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_looks_at_a_file_for_sandbox_money_and_reads_the_documents_of_apis() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Journal::start(Script::echo()).await.unwrap();
    let server = format!(
        "servers: {{ shop: {{ openapi: ./shop.json, url: \"{}\", every_tool: {{ price: [0.01USDC] }} }} }}\n",
        peer.url()
    );
    std::fs::write(folder.path().join("tollgate.yaml"), &server).unwrap();
    let document = |text: &str| std::fs::write(folder.path().join("shop.json"), text).unwrap();
    document(r#"{"openapi":"3.1.0","info":{},"paths":{"/a":{"get":{}}}}"#);
    let (is_well, said) = doctor(folder.path(), &[]);
    assert!(is_well && said.contains("· configuration: as `tollgate dev` takes it"), "{said}");
    assert!(
        said.contains("✓ OpenAPI document of server shop") && said.contains("✓ server shop at"),
        "{said}"
    );

    document(r#"{"swagger":"2.0"}"#);
    let (is_well, said) = doctor(folder.path(), &[]);
    assert!(
        !is_well && said.contains("✗ OpenAPI document of server shop") && said.contains("Swagger 2"),
        "{said}"
    );

    // What neither takes is said as it was.
    std::fs::write(folder.path().join("tollgate.yaml"), server.replace("0.01USDC", "0.01EUR")).unwrap();
    let (is_well, said) = doctor(folder.path(), &[]);
    assert!(!is_well && said.contains("✗ configuration"), "{said}");
}
