//! The command line. Results go to standard output, everything else to standard error.

mod approvals;
mod backup;
mod books;
mod budget;
mod call;
mod client;
mod connect;
mod doctor;
mod escrow;
mod keys;
mod ledger;
mod log;
mod operator;
mod out;
mod paying;
mod payout;
mod pins;
mod program;
mod receipt;
mod reconcile;
mod refund;
mod refusal;
mod reload;
mod result;
mod run;
mod server;
mod wrap;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::demo;

pub(crate) use out::Out;

/// A command ended in a finding: a failed check, a broken invariant, a tool that failed.
pub(crate) const FINDING: u8 = 1;
/// A command was not understood or cannot be carried out as given.
const USAGE: u8 = 2;

/// Tollgate: a gateway for MCP that decides who calls, what it costs and whether it is paid, and proves what happened.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a gateway for trying things out: demo tools, sandbox money, a dev Lightning wallet; loopback only.
    Dev(DevArgs),
    /// Run a gateway in front of your own MCP servers.
    Serve(ServeArgs),
    /// Run a gateway in front of one stdio server, with SANDBOX money unless --live is given.
    Wrap(WrapArgs),
    /// Call a tool and pay for it.
    Call(CallArgs),
    /// Bridge a client that only knows stdio (Claude Desktop, Cursor, VS Code) to an MCP server, and pay for its calls within a
    /// budget.
    Connect(ConnectArgs),
    /// Check receipts.
    #[command(subcommand)]
    Receipt(ReceiptCommand),
    /// Check the books, read them, write them out.
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Copy a data directory, also while a gateway uses it: databases, keys, and a manifest of their digests.
    Backup(backup::BackupArgs),
    /// Make a data directory from a backup; everything is checked before it appears.
    Restore(backup::RestoreArgs),
    /// Look at recent calls.
    #[command(subcommand)]
    Calls(CallsCommand),
    /// Give prepaid credit.
    #[command(subcommand)]
    Credit(CreditCommand),
    /// Give back what was kept of a paid call, or a part of it, as credit of whoever paid; exit 1 if nothing was kept.
    Refund(refund::RefundArgs),
    /// Hold the books against chain and wallet; exit 1 if they differ. Changes nothing.
    Reconcile(reconcile::ReconcileArgs),
    /// Have the running gateway read its configuration again, and say what has changed; exit 1 if it is refused.
    Reload(reload::ReloadArgs),
    /// Look at escrows, and decide disputes.
    #[command(subcommand)]
    Escrow(escrow::EscrowCommand),
    /// What providers withdraw: look at it, ask for it, decide about it, say where it may go.
    #[command(subcommand)]
    Payout(payout::PayoutsCommand),
    /// What each provider's tools have earned; what providers paid to themselves stands apart.
    Revenue(payout::RevenueArgs),
    /// Make and revoke API keys and admin keys.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Look at the budgets of callers; stop spending and let it go on.
    #[command(subcommand)]
    Budget(budget::BudgetCommand),
    /// Calls that wait for an approval.
    #[command(subcommand)]
    Approvals(approvals::ApprovalsCommand),
    /// Look at the definitions of tools, what changed in them, and approve them.
    #[command(subcommand)]
    Pins(PinsCommand),
    /// The servers of a configuration file: add, list, remove, probe, import.
    #[command(subcommand)]
    Server(server::ServerCommand),
    /// Print the block to paste into an MCP client.
    Client(client::ClientArgs),
    /// Check a configuration and print what it means.
    Validate(ServeArgs),
    /// Print the JSON Schema of the configuration file, or the OpenAPI document of the HTTP API.
    Schema {
        /// Print the OpenAPI 3.1 document that a gateway serves at /api/openapi.json.
        #[arg(long)]
        openapi: bool,
    },
    /// Say what is wrong with this set-up and what to do about it.
    Doctor(ServeArgs),
    /// The demo MCP server of `tollgate dev`, over stdio.
    #[command(name = demo::SUBCOMMAND, hide = true)]
    DemoServer,
}

#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Address and port to listen on; loopback only.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// The data directory.
    #[arg(long, value_name = "DIR", default_value = "tollgate-data")]
    data: PathBuf,
    /// Put your own servers and prices behind the SANDBOX rails, instead of the demo server.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Make a paid call as soon as the gateway runs, and print its receipt.
    #[arg(long)]
    demo: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WrapArgs {
    /// The price of one call of any tool, such as 0.01USDC or 10sat; once per asset. Without it tools are free.
    #[arg(long, value_name = "MONEY")]
    price: Vec<String>,
    /// The price of one tool, such as search=0.01USDC or echo=free; once per tool and asset.
    #[arg(long, value_name = "NAME=PRICE")]
    tool: Vec<String>,
    /// An environment variable for the server, as NAME=VALUE or as the NAME of one of ours. It sees no others but PATH and
    /// HOME.
    #[arg(long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Address and port to listen on; loopback only unless --live is given.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// The data directory.
    #[arg(long, value_name = "DIR", default_value = "tollgate-data")]
    data: PathBuf,
    /// Take real money, as the environment says: PAY_TO, NETWORK, RPC_URL, LNBITS_URL, LNBITS_INVOICE_KEY.
    #[arg(long)]
    live: bool,
    /// The server's program and its arguments, after `--`.
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The configuration file. Without one, the environment alone configures the gateway.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port to listen on.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The data directory.
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CallArgs {
    /// The tool's name.
    tool: String,
    /// Arguments as key=value; a value that is JSON is taken as JSON, anything else as text.
    #[arg(value_name = "KEY=VALUE")]
    arguments: Vec<String>,
    /// The most to pay, such as 0.01USDC or 10sat; its asset decides how to pay.
    #[arg(long, value_name = "MONEY")]
    max: String,
    /// The environment variable (or the line of .env) that holds an API key, such as TOLLGATE_API_KEY. Its prepaid credit is spent
    /// first, never more than --max for the call.
    #[arg(long, value_name = "NAME")]
    api_key_env: Option<String>,
    /// The MCP endpoint.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:3100/mcp")]
    url: String,
    /// Print `{"result":…,"receipt":…}` and nothing else.
    #[arg(long)]
    json: bool,
    /// A new file for the payment that was made: whoever has it can read the result again, see `tollgate receipt result`.
    #[arg(long, value_name = "FILE")]
    payment_to: Option<PathBuf>,
    /// The folder with the payer's key (payer.key).
    #[arg(long, value_name = "DIR", default_value = "tollgate-data")]
    data: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ConnectArgs {
    /// The MCP endpoint.
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:3100/mcp")]
    url: String,
    /// A header of every request, such as "Authorization: Bearer ${TOKEN}"; ${NAME} is read from the environment. Repeatable.
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// The most one call may cost, per asset. Default: 0.05USDC, 50sat. 0USDC forbids. Repeatable.
    #[arg(long, value_name = "MONEY")]
    max_per_call: Vec<String>,
    /// The most that may be spent per day (UTC), per asset. Default: 0.5USDC, 500sat. Repeatable.
    #[arg(long, value_name = "MONEY")]
    max_per_day: Vec<String>,
    /// The most that may be spent in all from this data directory, per asset. Default: 5USDC, 5000sat. Repeatable.
    #[arg(long, value_name = "MONEY")]
    max_total: Vec<String>,
    /// Pay for this tool only; `*` stands for any text. Default: every tool. Repeatable.
    #[arg(long, value_name = "TOOL")]
    allow: Vec<String>,
    /// Spend real money: USDC on Base. Without it, only test networks and dev mode are paid on.
    #[arg(long)]
    live: bool,
    /// The folder with the payer's key (payer.key) and the budget (payer.budget).
    #[arg(long, value_name = "DIR", default_value = "tollgate-data")]
    data: PathBuf,
    /// Print what was spent and what is left, and connect nothing.
    #[arg(long)]
    budget: bool,
    /// With --budget: print JSON.
    #[arg(long, requires = "budget")]
    json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReceiptCommand {
    /// Read the result of a paid call again, by its receipt, with the payment or the API key of the call.
    Result(result::ResultArgs),
    /// Check a receipt offline, with the gateway's public key alone.
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The receipt: an envelope, or the {envelope, salts} that a call returned.
    file: PathBuf,
    /// The public keys: a JWKS file as served at /.well-known/jwks.json. Default: the keys of the data directory.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// The data directory whose public key is used when no --keys are given.
    #[arg(long, value_name = "DIR", default_value = "tollgate-data")]
    data: PathBuf,
    /// A file with the arguments, to be compared with the receipt.
    #[arg(long, value_name = "FILE")]
    arguments: Option<PathBuf>,
    /// A file with the result, to be compared with the receipt.
    #[arg(long, value_name = "FILE")]
    result: Option<PathBuf>,
    /// Print the statement as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// The data directory.
    #[arg(long, value_name = "DIR", default_value = "tollgate-data")]
    data: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Add up every transfer and check every invariant; exit 1 if one does not hold.
    Check(DataArgs),
    /// What happened on one account, and what stands on it.
    Statement(ledger::StatementArgs),
    /// Every transfer, in the order of booking.
    Journal(ledger::Selected),
    /// Write transfers, settlements or receipts out, one row a line; amounts in atomic units and in whole tokens.
    Export(ledger::ExportArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum CallsCommand {
    /// The latest paid or recorded calls.
    List {
        /// How many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
        #[command(flatten)]
        data: DataArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CreditCommand {
    /// Give an API key prepaid credit.
    Add {
        /// The key's id: key_1…
        key: String,
        /// How much: 5USDC, 1000sat.
        money: String,
        /// Why; kept with the transfer.
        #[arg(long, default_value = "granted by the operator")]
        note: String,
        /// Print what would be booked, and book nothing.
        #[arg(long)]
        dry_run: bool,
        /// The configuration whose assets are known. Default: those that the gateway took when it was started last.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        data: DataArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make an API key; its secret is shown once.
    Create {
        /// What to call it.
        #[arg(long)]
        name: String,
        /// Make an admin key instead, which changes servers and prices over the admin API and pays for nothing.
        #[arg(long)]
        admin: bool,
        /// To what its holder belongs, such as team=research: what budgets select by. Repeatable.
        #[arg(long, value_name = "NAME=VALUE", conflicts_with = "admin")]
        label: Vec<String>,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Take an API key or an admin key back.
    Revoke {
        /// The key's id: key_1… or adm_1…
        key: String,
        #[command(flatten)]
        data: DataArgs,
    },
    /// All API keys and admin keys; never their secrets.
    List(DataArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum PinsCommand {
    /// Every tool that was seen, and where its definition stands; exit 1 if one waits for an approval.
    List(DataArgs),
    /// What changed in a tool's definition, and what a scan finds in it; exit 1 if it waits for an approval.
    Diff {
        /// The tool: SERVER/TOOL.
        tool: String,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Approve what a tool's server says now; exit 1 if that is not the definition that was reviewed any more.
    Approve {
        /// The tool: SERVER/TOOL.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        tool: Option<String>,
        /// The hash of the definition that was reviewed, as `pins diff` shows it.
        #[arg(long, value_name = "HASH", conflicts_with = "all")]
        expect: Option<String>,
        /// Approve everything that waits.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        data: DataArgs,
    },
}

/// Parses the command line, runs the command, and says how it ended.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            Out::problem(&format!("could not start: {error}"));
            return ExitCode::from(USAGE);
        }
    };
    match runtime.block_on(run_command(cli.command)) {
        Ok(code) => code,
        Err(error) => {
            Out::problem(&format!("{error:#}"));
            ExitCode::from(USAGE)
        }
    }
}

async fn run_command(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Dev(args) => run::dev(args).await,
        Command::Serve(args) => run::serve(args).await,
        Command::Wrap(args) => Box::pin(wrap::wrap(args)).await,
        Command::Call(args) => call::call(args).await,
        Command::Connect(args) => connect::connect(args).await,
        Command::Receipt(ReceiptCommand::Result(args)) => result::result(args).await,
        Command::Receipt(ReceiptCommand::Verify(args)) => receipt::verify_file(args),
        Command::Ledger(LedgerCommand::Check(data)) => books::check(data).await,
        Command::Ledger(LedgerCommand::Statement(args)) => ledger::statement(args).await,
        Command::Ledger(LedgerCommand::Journal(selected)) => ledger::journal(selected).await,
        Command::Ledger(LedgerCommand::Export(args)) => ledger::export(args).await,
        Command::Backup(args) => backup::backup(args).await,
        Command::Restore(args) => backup::restore(args).await,
        Command::Calls(CallsCommand::List { limit, data }) => books::calls(limit, data).await,
        Command::Credit(command) => books::credit(command).await,
        Command::Refund(args) => refund::refund(args).await,
        Command::Reconcile(args) => reconcile::reconcile(args).await,
        Command::Reload(args) => reload::reload(args).await,
        Command::Escrow(command) => escrow::run(command).await,
        Command::Payout(command) => payout::run(command).await,
        Command::Revenue(args) => payout::revenue(args).await,
        Command::Keys(command) => keys::run(command).await,
        Command::Budget(command) => budget::run(command).await,
        Command::Approvals(command) => approvals::run(command).await,
        Command::Pins(command) => pins::run(command).await,
        Command::Server(command) => server::run(command).await,
        Command::Client(args) => client::client(&args),
        Command::Validate(args) => doctor::validate(&args),
        Command::Schema { openapi } => doctor::schema(openapi),
        Command::Doctor(args) => doctor::doctor(&args).await,
        Command::DemoServer => demo::serve_stdio().await.map(|()| ExitCode::SUCCESS),
    }
}
