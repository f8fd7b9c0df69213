//! Dev mode: one process on loopback with a demo server, sandbox money and a dev Lightning wallet. No account, no faucet,
//! no other server; it refuses real networks and addresses that others can reach.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use tollgate_domain::{Price, Requirement, ServerName};
use tollgate_rails::evm::Address;
use tollgate_registry::PinPolicy;
use tollgate_till::sandbox;
pub use tollgate_till::sandbox::{Dev, SANDBOX_START, assets, has_been};

use crate::config::{Breaker, SandboxRails, Server, ToolPolicy, Transport};
use crate::demo;

/// Why dev mode does not start like that.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// Not a loopback address.
    #[error("dev mode listens on loopback only, not on {0}; it hands out money to anybody who asks")]
    NotLoopback(SocketAddr),
    /// A demo asset could not be named.
    #[error("name the sandbox assets: {0}")]
    Asset(#[from] tollgate_domain::AssetError),
    /// A demo name could not be used.
    #[error("name the demo server: {0}")]
    Name(#[from] tollgate_domain::NameError),
}

/// The rails of dev mode: x402 settled in sandbox money on the gateway's own books, Lightning on the dev wallet.
///
/// # Errors
/// [`DevError::NotLoopback`]: dev mode hands out money to anybody who asks.
pub fn rails(listen: SocketAddr, pay_to: Address) -> Result<SandboxRails, DevError> {
    if !listen.ip().is_loopback() {
        return Err(DevError::NotLoopback(listen));
    }
    Ok(sandbox::rails(pay_to)?)
}

/// Whether this is the demo server.
pub fn is_demo(server: &Server) -> bool {
    matches!(&server.transport, Transport::Stdio { command, .. } if command.get(1).is_some_and(|word| word == demo::SUBCOMMAND))
}

/// The demo server with its prices.
///
/// # Errors
/// Never, as long as the constants of this file are well formed.
pub fn demo_server(binary: &Path) -> Result<BTreeMap<ServerName, Server>, DevError> {
    let assets = assets()?;
    let priced = |texts: [&str; 2]| ToolPolicy {
        price: Price::any_of(texts.iter().filter_map(|text| assets.parse(text).ok())).into(),
        settle: Default::default(),
        requirement: Requirement::default(),
        deadline_ms: 30_000,
        ..ToolPolicy::default()
    };
    let tools = [
        ("weather".parse()?, priced(["0.01USDC", "10sat"])),
        ("digest".parse()?, priced(["0.002USDC", "2sat"])),
        ("flaky".parse()?, priced(["0.01USDC", "10sat"])),
    ];
    let demo = Server {
        transport: Transport::Stdio {
            command: vec![binary.display().to_string(), demo::SUBCOMMAND.to_owned()],
            env: Vec::new(),
            cwd: None,
            roots: true,
        },
        headers: Vec::new(),
        tools: BTreeMap::from(tools),
        every_tool: Some(ToolPolicy::default()),
        payment_as_http: false,
        list_callable_only: false,
        // Its definitions are part of this binary: there is no stranger whose word could change.
        pins: PinPolicy::OFF,
        breaker: Breaker::default(),
    };
    Ok(BTreeMap::from([("demo".parse()?, demo)]))
}
