//! `tollgate dev` and `tollgate serve`: start, say where, recover, serve, drain.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tollgate_gate::Mode;
use tollgate_payer::EvmWallet;

use super::{DevArgs, Out, ServeArgs, call, log, paying};
use crate::assemble::assemble;
use crate::clients::{self, ClientKind, Endpoint};
use crate::config::{Config, Environment, Overrides, SandboxRails, load};
use crate::data::DataDirectory;
use crate::gateway::Gateway;
use crate::telemetry::survey;
use crate::{clock, dev, keys, pins, server};

/// How often settlements without a definite answer are looked up again, and stored results pruned.
const UPKEEP_MS: u64 = 2_000;

pub(crate) async fn dev(args: DevArgs) -> anyhow::Result<ExitCode> {
    let environment = Environment::read(Path::new(".")).map_err(anyhow::Error::msg)?;
    log::set_up(&environment);
    let binary = std::env::current_exe().context("find the demo server (this very binary)")?;
    let gateway = sandbox(&environment, args.listen, &args.data, |flags, rails| {
        let mut config = load(args.config.as_deref(), &environment, flags, Some(rails))?;
        if args.config.is_none() {
            config.servers = dev::demo_server(&binary)?;
        }
        Ok(config)
    })
    .await?;
    welcome(&gateway.gateway, &binary);
    if args.demo {
        call::demo(&gateway.gateway.config.public_url, &args.data).await?;
    }
    gateway.until_stopped().await
}

/// A gateway with the rails of dev mode, and with wallets that pay and are paid.
pub(super) async fn sandbox(
    environment: &Environment,
    listen: Option<std::net::SocketAddr>,
    data: &Path,
    configure: impl FnOnce(&Overrides, SandboxRails) -> anyhow::Result<Config>,
) -> anyhow::Result<Running> {
    let listen = match listen {
        Some(listen) => listen,
        None => match environment.listen() {
            Some((text, origin)) => {
                text.parse().with_context(|| format!("{origin}: {text:?} is no address"))?
            }
            None => ([127, 0, 0, 1], 3100).into(),
        },
    };
    let folder = DataDirectory::open(data)?;
    EvmWallet::open_or_create(&folder.path("payer.key"), &paying::randomness())?;
    let merchant = EvmWallet::open_or_create(&folder.path("merchant.key"), &paying::randomness())?;
    // Bound first: with port 0 the address is known only now.
    let listener = bind(listen).await?;
    let listen = listener.local_addr()?;
    let flags = Overrides { listen: Some(listen.to_string()), data: Some(data.display().to_string()) };
    let rails = dev::rails(listen, merchant.address())?;
    let config = configure(&flags, rails)?;
    start(config, Mode::Sandbox, listener).await
}

pub(crate) async fn serve(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let environment = Environment::read(Path::new(".")).map_err(anyhow::Error::msg)?;
    log::set_up(&environment);
    let config = load(args.config.as_deref(), &environment, &overrides(&args), None)?;
    for notice in &config.notices {
        Out::note(&format!("note: {notice}"));
    }
    let listener = bind(config.listen).await?;
    let gateway = start(config, Mode::Live, listener).await?;
    Out::note(&format!(
        "tollgate serves {} server(s) at {}",
        gateway.gateway.carriers.len(),
        gateway.gateway.config.public_url
    ));
    gateway.until_stopped().await
}

pub(crate) fn overrides(args: &ServeArgs) -> Overrides {
    Overrides { listen: args.listen.clone(), data: args.data.clone() }
}

pub(super) async fn bind(listen: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(listen)
        .await
        .with_context(|| format!("listen on {listen}; choose another with --listen if it is taken"))
}

/// A gateway that serves.
pub(super) struct Running {
    pub(super) gateway: Arc<Gateway>,
    serving: tokio::task::JoinHandle<()>,
    stop: CancellationToken,
}

pub(super) async fn start(config: Config, mode: Mode, listener: TcpListener) -> anyhow::Result<Running> {
    let tasks = TaskTracker::new();
    let gateway = Arc::new(assemble(config, mode, tasks.clone()).await?);
    // Before any call is taken: what a crash left open is finished first.
    let recovered = gateway.gate.recover().await.context("finish what the last run left open")?;
    gateway.marks.forget().context("begin the dispatch marks anew")?;
    if let Some(dev) = &gateway.dev {
        let ledger = &gateway.gate.ports().store;
        dev.fund_once(ledger, clock::now()).await.context("give the payer its SANDBOX money")?;
    }
    if recovered.ended > 0 || recovered.open > 0 {
        Out::note(&format!(
            "recovered: {} settlement(s) ended, {} still open",
            recovered.ended, recovered.open
        ));
    }
    let stop = CancellationToken::new();
    let background = TaskTracker::new();
    background.spawn(keys::watch(
        gateway.gate.ports().store.clone(),
        Arc::clone(&gateway.keys),
        stop.clone(),
    ));
    background.spawn(pins::watch(Arc::clone(&gateway.pins), Arc::clone(&gateway.tools), stop.clone()));
    background.spawn(upkeep(Arc::clone(&gateway), stop.clone()));
    background.spawn(read_lists(Arc::clone(&gateway)));
    for name in gateway.tools.pinned() {
        let (name, tools, stop) = (name.clone(), Arc::clone(&gateway.tools), stop.clone());
        background.spawn(async move { tools.follow(&name, &stop).await });
    }
    if let Some(tls) = &gateway.tls {
        background.spawn(Arc::clone(tls).watch(stop.clone()));
    }
    let serving = background.spawn(server::serve(Arc::clone(&gateway), listener, stop.clone()));
    Ok(Running { gateway, serving, stop })
}

/// Asks every server with a policy for its tools, so that the first call does not wait; a server that is down is asked
/// again when it is called.
async fn read_lists(gateway: Arc<Gateway>) {
    for (name, _) in gateway.carriers.iter().filter(|(_, carrier)| carrier.has_policy) {
        if let Err(error) = gateway.tools.refresh(name, clock::now()).await {
            let source: &dyn std::error::Error = &error;
            tracing::warn!(server = %name, error = source, "the server's tools are not known yet");
        }
    }
}

async fn upkeep(gateway: Arc<Gateway>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(UPKEEP_MS)) => {}
        }
        if let Err(error) = gateway.gate.reconcile().await {
            tracing::error!(%error, "could not look up open settlements");
        }
        if let Err(error) = gateway.gate.ports().store.prune(clock::now()).await {
            tracing::error!(%error, "could not prune old results");
        }
        if let Err(error) = survey::look(&gateway).await {
            tracing::error!(%error, "could not look at the books");
        }
    }
}

impl Running {
    /// Serves until SIGTERM or SIGINT, then drains; a second signal ends the process at once (what is open is finished at
    /// the next start).
    pub(super) async fn until_stopped(self) -> anyhow::Result<ExitCode> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        self.stop.cancel();
        Out::note("stopping: no new work; a second signal stops at once");
        tokio::select! {
            served = self.serving => served?,
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What a newcomer needs: the address, blocks to paste, the first paid call.
fn welcome(gateway: &Gateway, binary: &Path) {
    let url = &gateway.config.public_url;
    let payer = gateway.dev.as_ref().map(|dev| dev.payer.to_string()).unwrap_or_default();
    let data = gateway.config.data.display();
    let mcp = format!("{url}/mcp");
    let endpoint =
        Endpoint { label: "tollgate", url: &mcp, with_key: false, binary, data: &gateway.config.data };
    let bridge = ClientKind::ClaudeDesktop.block(&endpoint);
    Out::line(&format!(
        "\
Tollgate dev   {url}   SANDBOX: no real money, loopback only
  MCP          {url}/mcp   (also {url}/servers/demo/mcp)
  tools        {url}/api/v1/tools
  payer        {payer} with SANDBOX USDC
  data         {data}

{clients}Claude Desktop {bridge}
               (over stdio: it also pays, within small limits; tollgate connect --help)

First paid call, in another terminal:
  tollgate call weather city=Oslo --max 0.01USDC --url {url}/mcp --data {data}
  tollgate call weather city=Oslo --max 10sat    --url {url}/mcp --data {data}
",
        clients = clients::lines(&endpoint),
    ));
}
