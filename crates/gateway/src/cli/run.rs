//! `tollgate dev` and `tollgate serve`: start, say where, recover, serve, drain.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tollgate_domain::UnixMillis;
use tollgate_gate::Mode;
use tollgate_payer::EvmWallet;

use super::{DevArgs, Out, ServeArgs, call, log, paying};
use crate::assemble::assemble;
use crate::clients::{self, ClientKind, Endpoint};
use crate::config::{Environment, Overlay, Overrides, SandboxRails, Settings, SettingsSource};
use crate::control::{self, Control, Started};
use crate::data::DataDirectory;
use crate::escrow::{mediation, sweep};
use crate::foundation::Foundation;
use crate::gateway::Gateway;
use crate::live::Live;
use crate::payouts::drive;
use crate::telemetry::survey;
use crate::{clock, dev, keys, pins, server};

/// How often settlements without a definite answer are looked up again, escrows past their deadline ended, reservations whose time is over
/// released, and stored results pruned.
const UPKEEP_MS: u64 = 2_000;
/// After what time a gateway of the same database that does not run is taken for gone: it knows better what became of its calls, and
/// has its turn first. An hour.
pub(super) const GONE_MS: u64 = 3_600_000;

pub(crate) async fn dev(args: DevArgs) -> anyhow::Result<ExitCode> {
    let environment = Environment::read(Path::new(".")).map_err(anyhow::Error::msg)?;
    log::set_up(&environment);
    let binary = std::env::current_exe().context("find the demo server (this very binary)")?;
    let listen = match args.listen {
        None if environment.listen().is_none() => of_the_file(&args, &environment)?,
        named => named,
    };
    let running = sandbox(&environment, listen, &args.data, |flags, rails| {
        let (file, flags, sandbox) = (args.config.clone(), flags.clone(), Some(rails));
        let source = SettingsSource { file, flags, sandbox };
        let mut settings = source.read_with(&Overlay::default(), &environment)?;
        if args.config.is_none() {
            settings.config.servers = dev::demo_server(&binary)?;
            return Ok(Start { source: None, settings });
        }
        Ok(Start { source: Some(source), settings })
    })
    .await?;
    let gateway = running.gateway();
    welcome(&gateway, &binary);
    if args.demo {
        call::demo(&gateway.config.public_url, &args.data).await?;
    }
    drop(gateway);
    running.until_stopped().await
}

/// Where the file listens. On an address that others reach, dev mode does not.
fn of_the_file(args: &DevArgs, environment: &Environment) -> anyhow::Result<Option<SocketAddr>> {
    let source = SettingsSource { file: args.config.clone(), flags: Overrides::default(), sandbox: None };
    let Some(text) = source.listen(environment)? else { return Ok(None) };
    let listen: SocketAddr = text.parse().with_context(|| format!("listen: {text:?} is no address"))?;
    if listen.ip().is_loopback() {
        return Ok(Some(listen));
    }
    Out::note(&format!(
        "note: the file listens on {listen}; dev mode hands out money, so it stays on loopback"
    ));
    Ok(None)
}

/// A gateway with the rails of dev mode, and with wallets that pay and are paid.
pub(super) async fn sandbox(
    environment: &Environment,
    listen: Option<std::net::SocketAddr>,
    data: &Path,
    configure: impl FnOnce(&Overrides, SandboxRails) -> anyhow::Result<Start>,
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
    Box::pin(start(configure(&flags, rails)?, Mode::Sandbox, listener)).await
}

pub(crate) async fn serve(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let environment = Environment::read(Path::new(".")).map_err(anyhow::Error::msg)?;
    log::set_up(&environment);
    let source = SettingsSource { file: args.config.clone(), flags: overrides(&args), sandbox: None };
    let settings = source.read_with(&Overlay::default(), &environment)?;
    for notice in &settings.config.notices {
        Out::note(&format!("note: {notice}"));
    }
    let listener = bind(settings.config.listen).await?;
    let running = Box::pin(start(Start { source: Some(source), settings }, Mode::Live, listener)).await?;
    let gateway = running.gateway();
    let (servers, url) = (gateway.carriers.len(), &gateway.config.public_url);
    Out::note(&format!("tollgate serves {servers} server(s) at {url}"));
    drop(gateway);
    running.until_stopped().await
}

pub(crate) fn overrides(args: &ServeArgs) -> Overrides {
    Overrides { listen: args.listen.clone(), data: args.data.clone() }
}

pub(super) async fn bind(listen: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("listen on {listen}; choose another with --listen if it is taken"))?;
    // Before anybody can have connected who is served: a connection has what its listener had when it came.
    server::keep_little_unsent(&listener);
    Ok(listener)
}

/// A gateway that serves.
pub(super) struct Running {
    control: Arc<Control>,
    serving: tokio::task::JoinHandle<()>,
    stop: CancellationToken,
    /// Whether SIGHUP has its settings read again.
    is_read_again: bool,
}

/// What a gateway starts with.
pub(super) struct Start {
    /// Where its settings can be read again.
    pub(super) source: Option<SettingsSource>,
    /// What they are now, without what the admin API has changed.
    pub(super) settings: Settings,
}

pub(super) async fn start(start: Start, mode: Mode, listener: TcpListener) -> anyhow::Result<Running> {
    let foundation = Foundation::open(&start.settings.config, mode).await?;
    let started = started(start, &foundation).await?;
    let gateway = assemble(started.settings.config.clone(), &foundation, None).await?;
    // Before any call is taken: what a crash left open is finished first.
    let recovered = gateway.gate.recover().await.context("finish what the last run left open")?;
    gateway.foundation.marks.forget().context("begin the dispatch marks anew")?;
    if let Some(dev) = &gateway.foundation.dev {
        let ledger = &gateway.gate.ports().store;
        dev.fund_once(ledger, clock::now()).await.context("give the payer its SANDBOX money")?;
    }
    if recovered.ended > 0 || recovered.open > 0 {
        Out::note(&format!(
            "recovered: {} settlement(s) ended, {} still open",
            recovered.ended, recovered.open
        ));
    }
    let (stop, background) = (CancellationToken::new(), TaskTracker::new());
    background.spawn(keys::watch(foundation.store.clone(), Arc::clone(&foundation.keys), stop.clone()));
    if let Some(tls) = &gateway.foundation.tls {
        background.spawn(Arc::clone(tls).watch(stop.clone()));
    }
    let live = Live::new(gateway, background.clone(), stop.clone());
    background.spawn(pins::watch(Arc::clone(&foundation.pins), Arc::clone(&live), stop.clone()));
    background.spawn(upkeep(Arc::clone(&live), stop.clone()));
    background.spawn(mediation::watch(Arc::clone(&live), stop.clone()));
    background.spawn(drive::watch(Arc::clone(&live), stop.clone()));
    live.follow();
    let is_read_again = started.source.is_some();
    let control = Control::new(live, foundation, started, background.clone());
    if is_read_again {
        let watching = control::watch(Arc::clone(&control), stop.clone());
        background.spawn(watching.context("wait for SIGHUP")?);
    }
    let serving = background.spawn(server::serve(Arc::clone(&control), listener, stop.clone()));
    Ok(Running { control, serving, stop, is_read_again })
}

/// The settings with what the admin API has changed, which only somebody who can read them again could change.
async fn started(start: Start, foundation: &Foundation) -> anyhow::Result<Started> {
    let Start { source, settings } = start;
    let nothing = Overlay::default();
    let Some(source) = source else {
        return Ok(Started { source: None, settings, overlay: nothing, stored: 0 });
    };
    let stored = foundation.control.overlay().await?;
    let overlay: Overlay = serde_json::from_str(&stored.text).context("read the changes of the admin API")?;
    let settings = match overlay.is_empty() {
        true => settings,
        false => source.read(&overlay).context(
            "the file is in order, and is not together with the changes of the admin API; adapt it to them",
        )?,
    };
    Ok(Started { source: Some(source), settings, overlay, stored: stored.version })
}

async fn upkeep(live: Arc<Live>, stop: CancellationToken) {
    let mut released = UnixMillis::new(0);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(UPKEEP_MS)) => {}
        }
        let gateway = live.snapshot();
        if let Err(error) = gateway.gate.reconcile().await {
            tracing::error!(%error, "could not look up open settlements");
        }
        if let Err(error) = sweep::sweep(&gateway).await {
            tracing::error!(%error, "could not look for escrows whose deadline has passed");
        }
        match gateway.gate.release_expired(released).await {
            Ok(until) => released = until,
            Err(error) => tracing::error!(%error, "could not release what was reserved until now"),
        }
        if let Err(error) = gateway.gate.ports().store.prune(clock::now()).await {
            tracing::error!(%error, "could not prune old results");
        }
        if let Err(error) = survey::look(&gateway).await {
            tracing::error!(%error, "could not look at the books");
        }
        let gone = UnixMillis::new(clock::now().get().saturating_sub(GONE_MS));
        if let Err(error) = gateway.gate.adopt(gone).await {
            tracing::error!(%error, "could not look for what other gateways left open");
        }
    }
}

impl Running {
    /// The gateway as it is now.
    pub(super) fn gateway(&self) -> Arc<Gateway> {
        self.control.live().snapshot()
    }

    /// Serves until SIGTERM or SIGINT, then drains; a second signal ends the process at once (what is open is finished at
    /// the next start). Where nothing is read again, SIGHUP is the end of the terminal: it would end the process without a drain, and
    /// leave a program that ignores the end of its input behind.
    pub(super) async fn until_stopped(self) -> anyhow::Result<ExitCode> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let ends_at_hangup = !self.is_read_again && !ignores_hangup();
        let mut hangup = if ends_at_hangup { Some(signal(SignalKind::hangup())?) } else { None };
        let hung_up = async {
            match &mut hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hung_up => {}
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

/// Whether whoever started the process wants it to outlive its terminal (`nohup`): a handler of ours would undo that. Linux tells
/// (proc(5), `SigIgn`); where nothing does, it is not so.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored =
        status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    // Signals are counted from one, and SIGHUP is the first.
    ignored.is_some_and(|signals| signals & 1 != 0)
}

/// Of more servers than these the address says enough.
const DOORS_SHOWN_MAX: usize = 3;

/// What a newcomer needs: the address, blocks to paste, the first paid call.
fn welcome(gateway: &Gateway, binary: &Path) {
    let url = &gateway.config.public_url;
    let payer = gateway.foundation.dev.as_ref().map(|dev| dev.payer.to_string()).unwrap_or_default();
    let data = gateway.config.data.display();
    let mcp = format!("{url}/mcp");
    let endpoint =
        Endpoint { label: "tollgate", url: &mcp, with_key: false, binary, data: &gateway.config.data };
    let bridge = ClientKind::ClaudeDesktop.block(&endpoint);
    let (call, tool) = if gateway.config.servers.values().any(dev::is_demo) {
        ("First paid call", "weather city=Oslo")
    } else {
        ("To call a tool", "TOOL KEY=VALUE")
    };
    Out::line(&format!(
        "\
Tollgate dev   {url}   SANDBOX: no real money, loopback only
  MCP          {url}/mcp{own_doors}
  tools        {url}/api/v1/tools
  payer        {payer} with SANDBOX USDC
  data         {data}

{clients}Claude Desktop {bridge}
               (over stdio: it also pays, within small limits; tollgate connect --help)

{call}, in another terminal:
  tollgate call {tool} --max 0.01USDC --url {url}/mcp --data {data}
  tollgate call {tool} --max 10sat    --url {url}/mcp --data {data}
",
        own_doors = own_doors(gateway),
        clients = clients::lines(&endpoint),
    ));
}

/// The doors of the first few servers themselves.
fn own_doors(gateway: &Gateway) -> String {
    let url = &gateway.config.public_url;
    let doors =
        gateway.config.servers.keys().take(DOORS_SHOWN_MAX).map(|name| format!("{url}/servers/{name}/mcp"));
    let doors = doors.collect::<Vec<_>>().join(", ");
    if doors.is_empty() { doors } else { format!("   (also {doors})") }
}
