//! The gateway that serves now, and how another takes its place.
//!
//! A request takes one snapshot when it arrives and ends on it: no call is decided half by one configuration and half by
//! another. What the next snapshot does not take over is ended once no request needs it any more.

use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::assemble::longest_ms;
use crate::carrier::Carrier;
use crate::clock;
use crate::doors;
use crate::gateway::Gateway;

/// How often it is looked whether a server is still in use that was taken away.
const DRAIN_LOOK_MS: u64 = 50;

/// The gateway that serves now.
#[derive(Debug)]
pub struct Live {
    current: ArcSwap<Gateway>,
    routes: ArcSwap<Routes>,
    passing: Mutex<Passing>,
    /// What runs beside the calls: readers of lists, ends of servers that were taken away.
    background: TaskTracker,
    stop: CancellationToken,
}

/// The doors behind the router, and the gateway that they are of.
#[derive(Debug)]
struct Routes {
    of: Arc<Gateway>,
    router: axum::Router,
}

impl Routes {
    fn of(gateway: &Arc<Gateway>) -> Self {
        Self { of: Arc::clone(gateway), router: doors::routes(gateway) }
    }
}

/// What came before and has not ended.
#[derive(Debug, Default)]
struct Passing {
    /// Earlier snapshots, as long as requests are on them.
    earlier: Vec<Weak<Gateway>>,
    /// Servers that were taken away, until they are stopped.
    retiring: Vec<Arc<Carrier>>,
    /// Ends what follows the lists of the current snapshot.
    following: CancellationToken,
}

impl Live {
    /// Serves with this gateway first; `background` and `stop` are of what runs beside the calls.
    pub fn new(first: Gateway, background: TaskTracker, stop: CancellationToken) -> Arc<Self> {
        let first = Arc::new(first);
        let live = Self {
            routes: ArcSwap::from_pointee(Routes::of(&first)),
            current: ArcSwap::new(first),
            passing: Mutex::default(),
            background,
            stop,
        };
        Arc::new(live)
    }

    /// The doors of this snapshot behind its router.
    pub(crate) fn routes(&self, gateway: &Arc<Gateway>) -> axum::Router {
        let routes = self.routes.load();
        match Arc::ptr_eq(&routes.of, gateway) {
            true => routes.router.clone(),
            // Of a request that came while another configuration took the place of its own.
            false => doors::routes(gateway),
        }
    }

    /// The gateway as it is now. A request asks once.
    pub fn snapshot(&self) -> Arc<Gateway> {
        self.current.load_full()
    }

    /// Reads the lists of tools that are not known yet and follows those that are compared with pins.
    pub fn follow(&self) {
        let gateway = self.snapshot();
        let stop = self.stop.child_token();
        std::mem::replace(&mut self.passing.lock().following, stop.clone()).cancel();
        for name in gateway.tools.pinned() {
            let (name, tools, stop) = (name.clone(), Arc::clone(&gateway.tools), stop.clone());
            self.background.spawn(async move { tools.follow(&name, &stop).await });
        }
        let reading = read_lists(Arc::downgrade(&gateway));
        self.background.spawn(async move { stop.run_until_cancelled(reading).await });
    }

    /// Puts another gateway in the place of the current one. Requests that have begun stay where they are.
    pub fn replace(self: &Arc<Self>, next: Gateway) {
        let next = Arc::new(next);
        let before = self.current.swap(Arc::clone(&next));
        // What it held of the gateway before goes with it: whoever waits for that one's end counts on it.
        self.routes.store(Arc::new(Routes::of(&next)));
        let gone: Vec<Arc<Carrier>> = before
            .carriers
            .iter()
            .filter(|(name, carrier)| !next.carriers.get(*name).is_some_and(|new| new.is_way_of(carrier)))
            .map(|(_, carrier)| Arc::clone(carrier))
            .collect();
        before.federations.tell(&next.federations);
        let earlier = {
            let mut passing = self.passing.lock();
            passing.earlier.retain(|earlier| earlier.strong_count() > 0);
            passing.earlier.push(Arc::downgrade(&before));
            passing.retiring.extend(gone.iter().cloned());
            passing.earlier.clone()
        };
        for carrier in gone {
            let server = before.config.servers.get(&carrier.name);
            let limit = Duration::from_millis(longest_ms(server));
            self.background.spawn(Arc::clone(self).retire(carrier, earlier.clone(), limit));
        }
        self.follow();
    }

    /// Stops a server that was taken away, once no request needs it; at the latest when none may run any more.
    async fn retire(self: Arc<Self>, carrier: Arc<Carrier>, earlier: Vec<Weak<Gateway>>, limit: Duration) {
        let draining = async {
            while carrier.is_busy() || earlier.iter().any(|earlier| earlier.strong_count() > 0) {
                tokio::time::sleep(Duration::from_millis(DRAIN_LOOK_MS)).await;
            }
        };
        tokio::select! {
            // Whoever stops the gateway stops what is retiring as well, after the calls.
            () = self.stop.cancelled() => return,
            drained = tokio::time::timeout(limit, draining) => {
                let server = &carrier.name;
                match drained {
                    Ok(()) => tracing::info!(%server, "a server that was taken away is stopped"),
                    Err(_) => tracing::warn!(%server, "a server that was taken away is stopped with requests under way"),
                }
            }
        }
        carrier.stop().await;
        self.passing.lock().retiring.retain(|retiring| !Arc::ptr_eq(retiring, &carrier));
    }

    /// Stops every server, those included that were taken away; called when no call runs any more.
    pub async fn stop_servers(&self) {
        let retiring = std::mem::take(&mut self.passing.lock().retiring);
        let current = self.snapshot();
        for carrier in current.carriers.values().chain(&retiring) {
            carrier.stop().await;
        }
    }
}

/// Asks every server with a policy for its tools, so that the first call does not wait; a server that is down is asked
/// again when it is called. Holds no snapshot while it waits.
async fn read_lists(gateway: Weak<Gateway>) {
    let Some(known) = gateway.upgrade() else { return };
    let tools = Arc::clone(&known.tools);
    let with_policy = known.carriers.iter().filter(|(_, carrier)| carrier.has_policy);
    let unread = with_policy.map(|(name, _)| name.clone()).filter(|name| !tools.is_listed(name));
    let unread: Vec<_> = unread.collect();
    drop(known);
    for name in unread {
        if let Err(error) = tools.refresh(&name, clock::now()).await {
            let source: &dyn std::error::Error = &error;
            tracing::warn!(server = %name, error = source, "the server's tools are not known yet");
        }
    }
}
