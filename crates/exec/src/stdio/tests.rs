use std::sync::atomic::{AtomicU8, Ordering};

use futures_util::FutureExt;
use http::HeaderValue;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use tollgate_mcp::Frame;

use super::*;
use crate::client::{ClientLimits, McpClient};
use crate::peer::{chunk, post, text};
use crate::session::Holder;
use tollgate_risk::room::Share;

/// A server of both eras in POSIX shell. What a call does stands in the tool's name.
const PEER: &str = r#"
say() { printf '%s\n' "$1"; }
answer() { say '{"jsonrpc":"2.0","id":'"$1"',"result":'"$2"'}'; }
log() { say '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"'"$1"'"}}'; }
cut() { rest=${line#*"$1"}; value=${rest%%[,\}]*}; }
watcher=
while IFS= read -r line; do
  cut '"id":'; id=$value
  case $line in
    *'"method":"initialize"'*)
      [ "$MODE" = modern ] && { say '{"jsonrpc":"2.0","id":'"$id"',"error":{"code":-32601,"message":"no"}}'; continue; }
      [ "$MODE" = mute ] && continue
      say 'this is no message'
      log early
      answer "$id" '{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"sh","version":"1"}}' ;;
    *'"method":"server/discover"'*)
      case $MODE in
        legacy) say '{"jsonrpc":"2.0","id":'"$id"',"error":{"code":-32602,"message":"not initialized"}}' ;;
        fragile) exit 1 ;;
        late:*) [ -e "${MODE#late:}" ] && answer "$id" '{"resultType":"complete","supportedVersions":["2026-07-28"]}' ;;
        *) answer "$id" '{"resultType":"complete","supportedVersions":["2026-07-28"]}' ;;
      esac ;;
    *'"method":"notifications/cancelled"'*)
      cut '"requestId":'
      [ -n "$watcher" ] && answer "$watcher" '{"cancelled":'"$value"',"hanging":'"$hanging"'}' ;;
    *'"method":"notifications/'*) ;;
    *'"method":"subscriptions/listen"'*)
      say '{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":'"$id"'}}}'
      listening=$id ;;
    *'"name":"publish"'*)
      say '{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":'"$listening"'}}}'
      answer "$listening" '{"_meta":{"io.modelcontextprotocol/subscriptionId":'"$listening"'},"resultType":"complete"}'
      answer "$id" '{}' ;;
    *'"name":"echo"'*) answer "$id" '{"pid":'$$'}' ;;
    *'"name":"progress"'*)
      cut '"progressToken":'
      say '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":'"$value"',"progress":1}}'
      answer "$id" '{}' ;;
    *'"name":"log"'*) log late; answer "$id" '{}' ;;
    *'"name":"change"'*) say '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'; answer "$id" '{}' ;;
    *'"name":"ask"'*) asking=$id; say '{"jsonrpc":"2.0","id":"q1","method":"roots/list"}' ;;
    *'"id":"q1"'*) answer "$asking" '{"roots":true}' ;;
    *'"name":"hang"'*) hanging=$id ;;
    *'"name":"watch"'*) watcher=$id ;;
    *'"name":"crash"'*) exit 3 ;;
    *'"name":"block"'*) exec sleep 1000 ;;
    *'"name":"deaf"'*) exec 1>&-; while :; do sleep 1; done ;;
    *'"name":"flood"'*)
      i=0; while [ $i -lt 5000 ]; do echo "noise $i" >&2; i=$((i+1)); done
      answer "$id" '{}' ;;
    *'"name":"huge"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"a":"%0200000d"}}\n' "$id" 0 ;;
    *'"name":"double"'*) say '{"jsonrpc":"2.0","id":'"$id"',"result":{"a":1,"a":2}}' ;;
    *'"name":"fork"'*)
      trap '' TERM
      sleep 1000 </dev/null >/dev/null 2>&1 &
      answer "$id" '{"pid":'$$',"child":'$!'}' ;;
    *'"name":"escape"'*) setsid sleep 1000 & answer "$id" '{"child":'$!'}' ;;
    *'"name":"environment"'*) answer "$id" '{"given":"'"$GIVEN"'","home":"'"${HOME-none}"'","argument":"'"$1"'"}' ;;
    *'"method":"nonsense"'*) say '{"jsonrpc":"2.0","id":'"$id"',"error":{"code":-32601,"message":"no"}}' ;;
    *) answer "$id" '{"tools":[{"name":"echo","inputSchema":{"type":"object"}}]}' ;;
  esac
done
# Input is closed. A stubborn server stays.
[ "$MODE" = stubborn ] && { trap '' TERM; while :; do sleep 1; done; }
"#;

/// Session ids that differ; the real ones come from the operating system.
fn counted() -> [u8; 16] {
    static LAST: AtomicU8 = AtomicU8::new(0);
    [LAST.fetch_add(1, Ordering::SeqCst); 16]
}

fn limits() -> StdioLimits {
    StdioLimits { stop_ms_max: 100, message_bytes_max: 100_000, ..StdioLimits::default() }
}

struct World {
    upstream: Arc<StdioUpstream>,
    tasks: TaskTracker,
}

impl World {
    fn new(mode: &str, limits: StdioLimits) -> Self {
        Self::within(mode, limits, None)
    }

    fn within(mode: &str, limits: StdioLimits, room: Option<Arc<Room>>) -> Self {
        let tasks = TaskTracker::new();
        let config = StdioConfig {
            name: "sh".parse().unwrap(),
            argv: ["/bin/sh", "-c", PEER, "peer", "$(echo run); *"].map(Into::into).into(),
            env: [("PATH", "/usr/bin:/bin"), ("MODE", mode), ("GIVEN", "yes")]
                .map(|(k, v)| (k.into(), v.into()))
                .into(),
            directory: None,
            roots: true,
            limits,
            room,
        };
        let upstream = Arc::new(StdioUpstream::new(config, counted, tasks.clone()).unwrap());
        Self { upstream, tasks }
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, UpstreamError> {
        self.upstream.exchange(request).await
    }

    /// A POST, its status and its text.
    async fn say(&self, session: Option<&str>, message: impl Into<String>) -> (u16, String) {
        let response = self.send(within(session, message)).await.unwrap();
        (response.status().as_u16(), text(response.into_body()).await.unwrap())
    }

    async fn open(&self) -> String {
        let response = self.send(within(None, INITIALIZE)).await.unwrap();
        assert_eq!(response.status(), 200);
        let id = response.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        assert!(id.bytes().all(|byte| matches!(byte, 0x21..=0x7e)));
        id
    }

    async fn end(&self) {
        self.upstream.stop();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

const INITIALIZE: &str =
    r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#;

fn within(session: Option<&str>, message: impl Into<String>) -> Request<Body> {
    let mut request = post(message.into());
    if let Some(session) = session {
        request.headers_mut().insert("mcp-session-id", HeaderValue::from_str(session).unwrap());
    }
    request
}

fn bodiless(method: Method, session: Option<&str>) -> Request<Body> {
    let mut request = within(session, "");
    *request.method_mut() = method;
    *request.body_mut() = Body::Empty;
    request
}

fn call(id: &str, tool: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{{}}}}}}"#
    )
}

/// A modern request; `extra` are more members of `_meta`.
fn modern(id: &str, method: &str, tool: &str, extra: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{"name":"{tool}","arguments":{{}},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}{extra}}}}}}}"#
    )
}

fn answered(id: &str, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

fn events(text: &str) -> Vec<&str> {
    text.split("\n\n")
        .filter(|event| !event.is_empty())
        .map(|event| event.strip_prefix("data: ").unwrap())
        .collect()
}

/// Whether a process does anything; one that is dead and not yet collected does not.
fn is_alive(pid: i32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let is_dead = state.rsplit(')').next().is_none_or(|rest| rest.trim_start().starts_with(['Z', 'X']));
    !is_dead && kill(Pid::from_raw(pid), None).is_ok()
}

/// Waits for what must come; a test that waits in vain fails after a minute.
async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), waiting).await.expect("it must come");
}

fn number(text: &str, member: &str) -> i32 {
    let frame = Frame::parse_upstream(text.to_owned().into()).unwrap();
    std::str::from_utf8(frame.result_member(member).unwrap()).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_legacy_session_is_a_process_of_its_own() {
    let world = World::new("", limits());
    let (first, second) = (world.open().await, world.open().await);
    assert_ne!(first, second);
    let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    assert_eq!(world.say(Some(&first), initialized).await, (202, String::new()));
    let (status, one) = world.say(Some(&first), call("\"x\"", "echo")).await;
    assert_eq!(status, 200);
    let (_, same) = world.say(Some(&first), call("\"x\"", "echo")).await;
    let (_, other) = world.say(Some(&second), call("\"x\"", "echo")).await;
    assert_eq!(one, same);
    assert_ne!(one, other);

    assert_eq!(world.send(bodiless(Method::DELETE, Some(&first))).await.unwrap().status(), 204);
    assert_eq!(world.say(Some(&first), call("1", "echo")).await.0, 404);
    assert_eq!(world.say(Some(&second), call("1", "echo")).await.0, 200);
    world.end().await;
    assert!(!is_alive(number(&one, "pid")) && !is_alive(number(&other, "pid")));
}

#[tokio::test]
async fn a_request_outside_a_session_is_refused_by_kind() {
    let world = World::new("", limits());
    let session = world.open().await;
    assert_eq!(world.say(None, call("1", "echo")).await.0, 400);
    assert_eq!(world.say(Some("unknown"), call("1", "echo")).await.0, 404);
    assert_eq!(world.send(bodiless(Method::GET, None)).await.unwrap().status(), 400);
    assert_eq!(world.send(bodiless(Method::GET, Some("unknown"))).await.unwrap().status(), 404);
    assert_eq!(world.send(bodiless(Method::DELETE, Some("unknown"))).await.unwrap().status(), 404);
    assert_eq!(world.send(bodiless(Method::PUT, Some(&session))).await.unwrap().status(), 405);
    assert_eq!(world.say(Some(&session), "{").await.0, 400);
    assert_eq!(world.say(Some(&session), format!("[{}]", call("1", "echo"))).await.0, 400);
    assert_eq!(
        world.say(Some(&session), format!("{}{}", call("1", "echo"), " ".repeat(100_000))).await.0,
        413
    );
    assert_eq!(world.say(Some(&session), call("1", "echo")).await.0, 200);
    world.end().await;
}

#[tokio::test]
async fn progress_and_questions_turn_the_answer_into_a_stream() {
    let world = World::new("", limits());
    let session = world.open().await;
    let asking = call("\"a\"", "progress").replace("{}}", "{},\"_meta\":{\"progressToken\":\"t\"}}");
    let (status, stream) = world.say(Some(&session), asking).await;
    assert_eq!(status, 200);
    let progress =
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":1}}"#;
    assert_eq!(events(&stream), [progress, &answered("\"a\"", "{}")]);

    let mut response = world.send(within(Some(&session), call("5", "ask"))).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let question = chunk(response.body_mut()).await.unwrap().unwrap();
    assert_eq!(question, "data: {\"jsonrpc\":\"2.0\",\"id\":\"q1\",\"method\":\"roots/list\"}\n\n");
    let reply = r#"{"jsonrpc":"2.0","id":"q1","result":{"roots":[]}}"#;
    assert_eq!(world.say(Some(&session), reply).await.0, 202);
    assert_eq!(events(&text(response.into_body()).await.unwrap()), [answered("5", "{\"roots\":true}")]);
    world.end().await;
}

#[tokio::test]
async fn what_belongs_to_no_request_waits_for_the_get_stream() {
    let world = World::new("", limits());
    let session = world.open().await;
    // A change of the lists is about the server, so the answer stays a plain one.
    assert_eq!(world.say(Some(&session), call("1", "change")).await, (200, answered("1", "{}")));
    let mut stream = world.send(bodiless(Method::GET, Some(&session))).await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let early = chunk(stream.body_mut()).await.unwrap().unwrap();
    assert!(early.starts_with(b"data: {") && String::from_utf8_lossy(&early).contains("early"));
    let changed = chunk(stream.body_mut()).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&changed).contains("list_changed"));

    assert_eq!(world.send(bodiless(Method::GET, Some(&session))).await.unwrap().status(), 409);
    assert_eq!(world.send(bodiless(Method::DELETE, Some(&session))).await.unwrap().status(), 204);
    // The end of the session ends its stream in order.
    assert_eq!(text(stream.into_body()).await.unwrap(), "");
    world.end().await;
}

#[tokio::test]
async fn a_cancelled_request_ends_without_an_answer() {
    let world = World::new("", limits());
    let session = world.open().await;
    let (hanging, ()) = tokio::join!(world.say(Some(&session), call("\"h\"", "hang")), async {
        // Answered behind the request above on the same pipe, so the request is under way.
        let duplicate = loop {
            let (status, _) = world.say(Some(&session), call("\"h\"", "echo")).await;
            if status == 409 {
                break status;
            }
        };
        assert_eq!(duplicate, 409);
        let cancelled = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"h"}}"#;
        assert_eq!(world.say(Some(&session), cancelled).await.0, 202);
    });
    assert_eq!(hanging, (200, String::new()));
    assert_eq!(world.say(Some(&session), call("\"h\"", "echo")).await.0, 200);
    world.end().await;
}

#[tokio::test]
async fn f54_a_crash_breaks_what_was_under_way_and_the_next_use_starts_anew() {
    let world = World::new("", limits());
    let session = world.open().await;
    let (_, before) = world.say(Some(&session), call("1", "echo")).await;
    for (tool, message) in [("crash", call("2", "crash")), ("deaf", call("2", "deaf"))] {
        let session = world.open().await;
        let error = world.send(within(Some(&session), message)).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Broken(_)), "{tool}: {error:?}");
        assert_eq!(world.say(Some(&session), call("3", "echo")).await.0, 404, "{tool}");
    }
    // Other sessions never notice.
    assert_eq!(world.say(Some(&session), call("1", "echo")).await, (200, before));

    let (_, first) = world.say(None, modern("1", "tools/call", "echo", "")).await;
    for tool in ["crash", "deaf"] {
        let error = world.send(within(None, modern("2", "tools/call", tool, ""))).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Broken(_)), "{tool}: {error:?}");
        let (status, second) = world.say(None, modern("3", "tools/call", "echo", "")).await;
        assert_eq!(status, 200);
        assert_ne!(number(&first, "pid"), number(&second, "pid"));
    }
    world.end().await;
}

#[tokio::test]
async fn f44_a_program_that_cannot_start_is_unreachable() {
    let tasks = TaskTracker::new();
    let mut config = World::new("", limits()).upstream.host.config.clone();
    config.argv = vec!["/nowhere/at/all".into()];
    let upstream = StdioUpstream::new(config.clone(), counted, tasks).unwrap();
    for message in [INITIALIZE.to_owned(), modern("1", "tools/list", "", "")] {
        let error = upstream.exchange(post(message)).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Unreachable(_)), "{error:?}");
    }
    config.argv.clear();
    assert!(matches!(
        StdioUpstream::new(config, counted, TaskTracker::new()),
        Err(StdioConfigError::NoProgram(_))
    ));
}

#[tokio::test]
async fn f45_a_server_that_never_answers_initialize_is_given_up() {
    let world = World::new("mute", StdioLimits { start_ms_max: 200, ..limits() });
    let error = world.send(within(None, INITIALIZE)).await.unwrap_err();
    assert!(matches!(error, UpstreamError::TimedOut), "{error:?}");
    world.end().await;
}

#[tokio::test]
async fn f54_a_flood_on_stderr_neither_blocks_the_server_nor_fills_memory() {
    let world = World::new("", limits());
    let session = world.open().await;
    assert_eq!(world.say(Some(&session), call("1", "flood")).await, (200, answered("1", "{}")));
    world.end().await;
}

#[tokio::test]
async fn f54_a_server_that_stops_reading_is_ended_and_nobody_else_waits_for_it() {
    let world = World::new("", StdioLimits { write_ms_max: 100, ..limits() });
    let other = world.open().await;
    // Longer than a pipe holds.
    let long = "x".repeat(90_000);
    for is_modern in [false, true] {
        let (session, block, more) = match is_modern {
            false => (Some(world.open().await), call("1", "block"), call("2", &long)),
            true => (None, modern("1", "tools/call", "block", ""), modern("2", "tools/call", &long, "")),
        };
        let session = session.as_deref();
        let (blocked, behind) =
            tokio::join!(world.send(within(session, block)), world.send(within(session, more)));
        for error in [blocked.unwrap_err(), behind.unwrap_err()] {
            assert!(matches!(error, UpstreamError::Broken(_)), "{error:?}");
        }
        assert_eq!(world.say(Some(&other), call("3", "echo")).await.0, 200);
        assert_eq!(world.say(None, modern("3", "tools/call", "echo", "")).await.0, 200, "started anew");
    }
    world.end().await;
}

#[tokio::test]
async fn f54_the_whole_group_of_a_stubborn_server_ends() {
    for is_modern in [false, true] {
        let world = World::new("stubborn", limits());
        let (session, message) = match is_modern {
            false => (Some(world.open().await), call("1", "fork")),
            true => (None, modern("1", "tools/call", "fork", "")),
        };
        let (_, forked) = world.say(session.as_deref(), message).await;
        let (leader, child) = (number(&forked, "pid"), number(&forked, "child"));
        assert!(is_alive(leader) && is_alive(child));
        world.end().await;
        assert!(!is_alive(leader));
        // Nobody but the system collects the child of a child.
        until(async || !is_alive(child)).await;
    }
}

#[tokio::test]
async fn f54_a_child_that_escapes_from_the_group_does_not_hold_up_the_end() {
    let world = World::new("", limits());
    let (_, escaped) = world.say(None, modern("1", "tools/call", "escape", "")).await;
    let child = number(&escaped, "child");
    // It holds the pipes of the process open.
    until(async || std::fs::read_link(format!("/proc/{child}/exe")).is_ok_and(|exe| exe.ends_with("sleep")))
        .await;
    world.end().await;
    assert!(is_alive(child));
    kill(Pid::from_raw(child), nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn the_requests_under_way_are_bounded() {
    let world = World::new("", StdioLimits { calls_max: 1, ..limits() });
    let session = world.open().await;
    for (session, hang, echo) in [
        (Some(session.as_str()), call("1", "hang"), call("2", "echo")),
        (None, modern("1", "tools/call", "hang", ""), modern("2", "tools/call", "echo", "")),
    ] {
        // Starts the modern process, so that the next request is under way as soon as it is polled.
        assert_eq!(world.say(session, echo.clone()).await.0, 200);
        tokio::select! {
            biased;
            answer = world.send(within(session, hang)) => panic!("{answer:?}"),
            (status, _) = world.say(session, echo.clone()) => assert_eq!(status, 503),
        }
        // Its caller has gone away.
        assert_eq!(world.say(session, echo).await.0, 200);
    }
    world.end().await;
}

#[tokio::test]
async fn dropping_the_upstream_ends_its_processes() {
    let World { upstream, tasks } = World::new("", limits());
    let response = upstream.exchange(post(modern("1", "tools/call", "echo", ""))).await.unwrap();
    let pid = number(&text(response.into_body()).await.unwrap(), "pid");
    assert!(is_alive(pid));
    drop(upstream);
    tasks.close();
    tasks.wait().await;
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn x1_the_program_gets_its_arguments_as_they_are_and_no_inherited_environment() {
    let world = World::new("", limits());
    let (_, seen) = world.say(None, modern("1", "tools/call", "environment", "")).await;
    assert_eq!(seen, answered("1", r#"{"given":"yes","home":"none","argument":"$(echo run); *"}"#));
    // Neither arguments nor environment are ever printed.
    let printed = format!("{:?} {:?}", world.upstream, world.upstream.host.config);
    assert!(!printed.contains("echo run") && !printed.contains("GIVEN"), "{printed}");
    world.end().await;
}

#[tokio::test]
async fn a_program_with_folders_of_its_own_hears_nothing_of_its_callers() {
    /// Says what it was told.
    const MIRROR: &str =
        r#"while IFS= read -r line; do printf '{"jsonrpc":"2.0","id":0,"result":%s}\n' "$line"; done"#;
    let initialize = INITIALIZE.replace(r#""params":{"#, r#""params":{"capabilities":{"roots":{}},"#);
    for roots in [true, false] {
        let tasks = TaskTracker::new();
        let config = StdioConfig {
            name: "mirror".parse().unwrap(),
            argv: ["/bin/sh", "-c", MIRROR].map(Into::into).into(),
            env: Vec::new(),
            directory: None,
            roots,
            limits: limits(),
            room: None,
        };
        let upstream = StdioUpstream::new(config, counted, tasks.clone()).unwrap();
        let opened = upstream.exchange(within(None, initialize.as_str())).await.unwrap();
        let session = opened.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        let told = text(opened.into_body()).await.unwrap();
        assert_eq!(told.contains("roots"), roots, "{told}");
        assert!(told.contains("2025-11-25"), "control: {told}");
        let changed = r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#;
        let taken = upstream.exchange(within(Some(&session), changed)).await.unwrap();
        assert_eq!(taken.status(), 202, "its client did nothing wrong");
        upstream.stop();
        tasks.close();
        tasks.wait().await;
    }
}

#[tokio::test]
async fn f9_a_message_that_finds_no_room_fails_its_call_alone() {
    let room = Room::new(300_000);
    let limits = StdioLimits { message_bytes_max: 1_000_000, ..limits() };
    let world = World::within("", limits, Some(Arc::clone(&room)));
    let session = world.open().await;
    for (session, message) in
        [(Some(session.as_str()), call("1", "huge")), (None, modern("1", "tools/call", "huge", ""))]
    {
        let held = Share::promised(&room, 150_000);
        let error = world.send(within(session, message.clone())).await.unwrap_err();
        assert!(matches!(error, UpstreamError::NoRoom), "{error:?}");
        assert_eq!(world.say(session, message.replace("huge", "echo")).await.0, 200, "what is small passes");
        drop(held);
        let (status, said) = world.say(session, message).await;
        assert!(status == 200 && said.len() > 200_000, "control");
        assert_eq!(room.taken(), 0);
    }
    world.end().await;
}

#[tokio::test]
async fn d1_f50_a_message_over_the_limit_fails_its_call_alone() {
    let world = World::new("", limits());
    let session = world.open().await;
    for (session, message) in
        [(Some(session.as_str()), call("1", "huge")), (None, modern("1", "tools/call", "huge", ""))]
    {
        let error = world.send(within(session, message)).await.unwrap_err();
        assert!(matches!(error, UpstreamError::TooLarge(100_000)), "{error:?}");
    }
    let error = world.send(within(Some(&session), call("1", "double"))).await.unwrap_err();
    assert!(matches!(error, UpstreamError::NotAnAnswer(_)), "{error:?}");
    assert_eq!(world.say(Some(&session), call("1", "echo")).await.0, 200);
    world.end().await;
}

#[tokio::test]
async fn f54_sessions_are_bounded_and_a_place_is_free_again_when_one_ends() {
    let world = World::new("", StdioLimits { sessions_max: 2, ..limits() });
    let first = world.open().await;
    let second = world.open().await;
    assert_eq!(world.say(None, INITIALIZE).await.0, 503);
    assert_eq!(world.send(bodiless(Method::DELETE, Some(&first))).await.unwrap().status(), 204);
    until(async || world.say(None, INITIALIZE).await.0 == 200).await;
    assert_eq!(world.say(Some(&second), call("1", "echo")).await.0, 200);
    world.end().await;
}

/// `initialize` of a holder; the session, if it got one.
async fn opened_by(world: &World, holder: Holder) -> Option<String> {
    let mut request = within(None, INITIALIZE);
    request.extensions_mut().insert(holder);
    let response = world.send(request).await.unwrap();
    assert!(matches!(response.status().as_u16(), 200 | 503), "{}", response.status());
    response.headers().get("mcp-session-id").map(|id| id.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn where_one_holder_has_every_session_its_longest_unused_gives_way_to_others() {
    let world = World::new("", StdioLimits { sessions_max: 3, ..limits() });
    let (stranger, known) = (Holder::Stranger(1), Holder::Known(1));
    let mut own = Vec::new();
    for _ in 0..3 {
        own.push(opened_by(&world, stranger).await.unwrap());
    }
    assert_eq!(opened_by(&world, stranger).await, None, "the bound holds for itself");
    // A stream to listen on keeps no place; the answer to a request does. The second session is used last.
    let stream = world.send(bodiless(Method::GET, Some(&own[2]))).await.unwrap();
    let hanging = world.tasks.spawn({
        let (upstream, first) = (Arc::clone(&world.upstream), own[0].clone());
        async move { upstream.exchange(within(Some(&first), call("1", "hang"))).await }
    });
    until(async || world.upstream.is_busy()).await;
    assert_eq!(world.say(Some(&own[1]), call("1", "echo")).await.0, 200);

    let first = opened_by(&world, known).await.unwrap();
    text(stream.into_body()).await.expect("its stream ends in order");
    assert_eq!(world.say(Some(&own[2]), call("1", "echo")).await.0, 404, "so its client opens another");
    assert_eq!(world.say(Some(&own[1]), call("2", "echo")).await.0, 200);
    let second = opened_by(&world, known).await.unwrap();
    assert_eq!(world.say(Some(&own[1]), call("3", "echo")).await.0, 404);
    assert!(!hanging.is_finished(), "what is under way is not broken off");
    assert_eq!(opened_by(&world, known).await, None, "it has more than its share by now");
    assert_eq!(opened_by(&world, stranger).await, None, "nothing is taken from whoever is known");
    // The gateway itself always gets one.
    assert!(opened_by(&world, Holder::House).await.is_some());
    let left = [
        world.say(Some(&first), call("1", "echo")).await.0,
        world.say(Some(&second), call("1", "echo")).await.0,
    ];
    assert_eq!(left, [404, 200]);
    hanging.abort();
    world.end().await;
}

#[tokio::test]
async fn d5_requests_that_never_end_keep_no_more_than_a_quarter_of_the_sessions_for_a_stranger() {
    let world = World::new("", StdioLimits { sessions_max: 8, ..limits() });
    let mut hanging = Vec::new();
    for _ in 0..8 {
        let session = opened_by(&world, Holder::Stranger(0)).await.unwrap();
        let upstream = Arc::clone(&world.upstream);
        let mut request =
            Box::pin(async move { upstream.exchange(within(Some(&session), call("1", "hang"))).await });
        assert!((&mut request).now_or_never().is_none(), "it is under way");
        hanging.push(world.tasks.spawn(request));
    }
    for newcomer in [Holder::Known(1)].into_iter().chain((1..6).map(Holder::Stranger)) {
        let session = opened_by(&world, newcomer).await.expect("one gave way");
        assert_eq!(world.say(Some(&session), call("1", "echo")).await.0, 200);
    }
    assert_eq!(opened_by(&world, Holder::Stranger(6)).await, None, "two of eight are no more than a quarter");
    until(async || hanging.iter().filter(|one| one.is_finished()).count() == 6).await;
    let (broken, left): (Vec<_>, Vec<_>) =
        hanging.into_iter().partition(tokio::task::JoinHandle::is_finished);
    for broken in broken {
        let error = broken.await.unwrap().unwrap_err();
        assert!(matches!(error, UpstreamError::Broken(_)), "{error}");
    }
    left.into_iter().for_each(|left| left.abort());
    world.end().await;
}

#[tokio::test]
async fn an_idle_session_ends_and_one_with_a_stream_open_stays() {
    let world = World::new("", StdioLimits { session_idle_ms_max: 200, ..limits() });
    let listening = world.open().await;
    let stream = world.send(bodiless(Method::GET, Some(&listening))).await.unwrap();
    assert_eq!(stream.status(), 200);
    let idle = world.open().await;
    let (_, echo) = world.say(Some(&idle), call("1", "echo")).await;
    // It was used last, so it would be the last to go.
    until(async || !is_alive(number(&echo, "pid"))).await;
    assert_eq!(world.say(Some(&idle), call("1", "echo")).await.0, 404);
    assert_eq!(world.say(Some(&listening), call("1", "echo")).await.0, 200);
    drop(stream);
    // Nobody stops it: it goes by itself, and every task with it.
    world.tasks.close();
    world.tasks.wait().await;
    assert_eq!(world.say(Some(&listening), call("1", "echo")).await.0, 404);
}

#[tokio::test]
async fn modern_callers_share_one_process_and_keep_their_own_ids() {
    let world = World::new("", limits());
    let progress =
        |id: &str, token: &str| modern(id, "tools/call", "progress", &format!(",\"progressToken\":{token}"));
    let (one, two, three, echo) = tokio::join!(
        world.say(None, progress("1", "\"t\"")),
        world.say(None, progress("1", "\"t\"")),
        world.say(None, progress("\"x\"", "0")),
        world.say(None, modern("1", "tools/call", "echo", "")),
    );
    for (said, id, token) in [(&one, "1", "\"t\""), (&two, "1", "\"t\""), (&three, "\"x\"", "0")] {
        let progress = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#
        );
        assert_eq!(said.0, 200);
        assert_eq!(events(&said.1), [progress, answered(id, "{}")]);
    }
    let (_, again) = world.say(None, modern("1", "tools/call", "echo", "")).await;
    assert_eq!(echo.1, again);
    world.end().await;
}

#[tokio::test]
async fn f49_a_modern_caller_who_hangs_up_is_cancelled_upstream() {
    let world = World::new("", limits());
    let watching = within(None, modern("1", "tools/call", "watch", ""));
    let hanging = within(None, modern("2", "tools/call", "hang", ""));
    let (watched, ()) = tokio::join!(world.send(watching), async {
        let hang = world.send(hanging);
        // Both requests go down the pipe before this one is answered, and the caller of one of them goes away.
        let echo = async {
            for _ in 0..3 {
                world.say(None, modern("3", "tools/call", "echo", "")).await;
            }
        };
        tokio::select! {
            biased;
            answer = hang => panic!("{answer:?}"),
            () = echo => {}
        }
    });
    let text = text(watched.unwrap().into_body()).await.unwrap();
    assert_eq!(number(&text, "cancelled"), number(&text, "hanging"));
    world.end().await;
}

#[tokio::test]
async fn logs_reach_a_modern_caller_only_where_it_is_clear_whose_they_are() {
    let world = World::new("", limits());
    let level = ",\"io.modelcontextprotocol/logLevel\":\"info\"";
    let (_, silent) = world.say(None, modern("1", "tools/call", "log", "")).await;
    assert_eq!(silent, answered("1", "{}"));
    let (_, told) = world.say(None, modern("2", "tools/call", "log", level)).await;
    assert_eq!(events(&told).len(), 2, "{told}");
    assert!(events(&told)[0].contains("late"));
    world.end().await;
}

#[tokio::test]
async fn m6_the_log_of_another_callers_request_reaches_nobody() {
    let world = World::new("", limits());
    let level = ",\"io.modelcontextprotocol/logLevel\":\"info\"";
    let listening = within(None, modern("1", "tools/call", "hang", level));
    let log = async {
        world.say(None, modern("2", "tools/call", "echo", "")).await;
        // The program logs for this call, though nobody has asked it to.
        let (_, silent) = world.say(None, modern("3", "tools/call", "log", "")).await;
        assert_eq!(silent, answered("3", "{}"));
        for _ in 0..3 {
            world.say(None, modern("4", "tools/call", "echo", "")).await;
        }
    };
    tokio::select! {
        biased;
        heard = world.send(listening) => panic!("it was told of another's call: {heard:?}"),
        () = log => {}
    }
    // Control: alone it is told of its own, also beside one that only listens for changes.
    let listen = within(None, modern("\"mine\"", "subscriptions/listen", "", level));
    let _open = world.send(listen).await.unwrap();
    let (_, told) = world.say(None, modern("5", "tools/call", "log", level)).await;
    assert!(told.contains("late"), "{told}");
    world.end().await;
}

#[tokio::test]
async fn a_subscription_is_a_stream_under_its_callers_own_id() {
    let world = World::new("", limits());
    let listen = within(None, modern("\"mine\"", "subscriptions/listen", "", ""));
    let mut stream = world.send(listen).await.unwrap();
    let acknowledged = chunk(stream.body_mut()).await.unwrap().unwrap();
    let own = r#""io.modelcontextprotocol/subscriptionId":"mine""#;
    assert!(String::from_utf8_lossy(&acknowledged).contains(own), "{acknowledged:?}");
    world.say(None, modern("1", "tools/call", "publish", "")).await;
    let rest = text(stream.into_body()).await.unwrap();
    let [changed, end] = events(&rest)[..] else { panic!("{rest}") };
    assert!(changed.contains("list_changed") && changed.contains(own), "{changed}");
    assert!(end.contains(r#""id":"mine""#) && end.contains(own), "{end}");
    world.end().await;
}

#[tokio::test]
async fn the_modern_door_knows_only_post_and_its_own_statuses() {
    let world = World::new("", limits());
    for method in [Method::GET, Method::DELETE] {
        let mut request = bodiless(method, None);
        request.headers_mut().insert("mcp-protocol-version", HeaderValue::from_static("2026-07-28"));
        let response = world.send(request).await.unwrap();
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "POST");
    }
    assert_eq!(world.say(None, modern("1", "nonsense", "", "")).await.0, 404);
    let cancelled = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    assert_eq!(world.say(None, cancelled).await, (202, String::new()));
    assert_eq!(world.say(None, modern("1", "tools/call", "echo", "")).await.0, 200);
    world.end().await;
}

#[tokio::test]
async fn a_legacy_program_answers_modern_requests_as_a_legacy_server() {
    for mode in ["legacy", "fragile"] {
        let world = World::new(mode, limits());
        let (status, refusal) = world.say(None, modern("1", "tools/call", "echo", "")).await;
        assert_eq!(status, 400, "{mode}");
        assert!(refusal.contains("-32600"), "{refusal}");
        let session = world.open().await;
        assert_eq!(world.say(Some(&session), call("1", "echo")).await.0, 200, "{mode}");
        world.end().await;
    }
}

#[tokio::test]
async fn a_program_that_was_slow_to_start_is_asked_again_later_which_era_it_speaks() {
    let folder = tempfile::tempdir().unwrap();
    let awake = folder.path().join("awake");
    let world = World::new(&format!("late:{}", awake.display()), limits());
    let asked = async || world.say(None, modern("1", "tools/call", "echo", "")).await.0;
    // Nothing but the clock can go on while the program says nothing.
    tokio::time::pause();
    assert_eq!(asked().await, 400, "as a legacy server");
    std::fs::write(&awake, "").unwrap();
    tokio::time::resume();
    assert_eq!(asked().await, 400, "not asked again at once");
    tokio::time::pause();
    tokio::time::advance(modern::SILENCE_FIRST).await;
    tokio::time::resume();
    assert_eq!(asked().await, 200);
    world.end().await;
}

#[tokio::test]
async fn the_gateways_own_client_speaks_to_programs_of_either_era() {
    for mode in ["", "modern", "legacy"] {
        let world = World::new(mode, limits());
        let upstream: Arc<dyn Upstream> = Arc::clone(&world.upstream) as _;
        let client = McpClient::new(upstream, ClientLimits::default());
        let tools = client.list_tools().await.unwrap();
        assert_eq!(tools.len(), 1);
        assert!(!client.call_tool("echo", b"{}", &[]).await.unwrap().is_error);
        client.close().await;
        world.end().await;
    }
}
