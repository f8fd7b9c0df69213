//! `kill -9` in the middle of a paid request: what was left open is finished when the data directory is opened again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use http::Method;
use tempfile::TempDir;
use tollgate_testkit::http::{get, send};
use tollgate_testkit::peers::port;
use tollgate_testkit::process::Guarded;

use crate::world::{PRICE, START, assert_earned, balance, built, code, payer, request, x402_payment};

const START_MAX: Duration = Duration::from_secs(30);

/// An example as a process of its own.
pub(crate) struct Example {
    name: &'static str,
    process: Guarded,
    pub(crate) port: u16,
    data: PathBuf,
}

impl Example {
    /// Starts an example on a free port, its data in `folder`; it dies at `failpoint`, if there is one.
    pub(crate) async fn start(name: &'static str, folder: &Path, failpoint: Option<&str>) -> Self {
        Self::start_at(name, folder, failpoint, port::free().unwrap()).await
    }

    async fn start_at(name: &'static str, folder: &Path, failpoint: Option<&str>, port: u16) -> Self {
        let data = folder.join("data");
        let mut command = Command::new(built(name));
        command.arg(format!("127.0.0.1:{port}")).arg(&data).current_dir(folder).env_clear();
        if let Some(point) = failpoint {
            command.env("TOLLGATE_FAILPOINT", point);
        }
        let mut process = Guarded::spawn(&command, &folder.join(format!("{name}.log"))).unwrap();
        let jwks = format!("http://127.0.0.1:{port}/.well-known/jwks.json");
        let listening = async || get(&jwks, &[]).await.is_ok_and(|answer| answer.status == 200);
        process.wait_until(START_MAX, listening).await.unwrap();
        Self { name, process, port, data }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    async fn killed_and_restarted(mut self, folder: &Path) -> Self {
        self.process.kill();
        Self::start_at(self.name, folder, None, self.port).await
    }
}

/// An example that dies of a paid request at `failpoint` and is started again; with the payment.
async fn died_at(failpoint: &str) -> (TempDir, Example, String) {
    let folder = tempfile::tempdir().unwrap();
    let example = Example::start("axum_five_lines", folder.path(), Some(failpoint)).await;
    let url = format!("{}/weather", example.url());
    let payment = x402_payment(&payer(&example.data), Method::GET, &url, "").await;
    let fatal = send(Method::GET, &url, &[("payment-signature", &payment)], "").await;
    assert!(
        fatal.is_err(),
        "{failpoint}: the server should have died: {:?}",
        fatal.map(|answer| answer.text())
    );
    let example = example.killed_and_restarted(folder.path()).await;
    (folder, example, payment)
}

#[tokio::test]
async fn killed_before_the_handler_runs_the_payment_is_released() {
    let (_folder, example, payment) = died_at("after_claim").await;
    assert_eq!(balance(&example.data).await, START, "not charged");
    assert_earned(&example.data, 0).await;
    let url = format!("{}/weather", example.url());
    let again = request(Method::GET, &url, &[("payment-signature", &payment)], "").await;
    assert_eq!(
        (again.status.as_u16(), again.header("tollgate-repeated")),
        (200, None),
        "the very same payment works"
    );
    assert_earned(&example.data, PRICE).await;
}

#[tokio::test]
async fn killed_behind_the_handler_and_before_the_record_nobody_is_charged_and_it_is_not_run_again() {
    let (_folder, example, payment) = died_at("after_result").await;
    assert_eq!(balance(&example.data).await, START, "the result was lost, so it costs nothing");
    let url = format!("{}/weather", example.url());
    let again = request(Method::GET, &url, &[("payment-signature", &payment)], "").await;
    assert_eq!((again.status.as_u16(), code(&again).as_str()), (409, "payment_replayed"));
    assert_earned(&example.data, 0).await;
    let fresh = x402_payment(&payer(&example.data), Method::GET, &url, "").await;
    let paid = request(Method::GET, &url, &[("payment-signature", &fresh)], "").await;
    assert_eq!(paid.status, 200, "control: another payment works");
}

/// Sandbox money is on the ledger, so that outcome and settlement are one commit; the points between them exist on a chain,
/// where the gateway's stories kill it.
#[tokio::test]
async fn killed_behind_its_settlement_the_call_is_charged_once_and_its_answer_is_kept() {
    let (_folder, example, payment) = died_at("after_settled").await;
    assert_eq!(balance(&example.data).await, START - PRICE, "one charge");
    assert_earned(&example.data, PRICE).await;
    let url = format!("{}/weather", example.url());
    let again = request(Method::GET, &url, &[("payment-signature", &payment)], "").await;
    assert_eq!((again.status.as_u16(), again.header("tollgate-repeated")), (200, Some("true")));
    assert!(again.text().starts_with("Sunny."), "{}", again.text());
    assert_eq!(balance(&example.data).await, START - PRICE, "not charged again");
}
