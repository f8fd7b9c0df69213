use http::Response;
use http_body_util::BodyExt;

use super::*;
use crate::peer::{Peer, full};

/// A server of the era of sessions with two pages of tools and no resources.
async fn legacy() -> Peer {
    Peer::http(async |request| {
        if request.method() == Method::DELETE {
            return Response::new(Body::Empty);
        }
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let frame = Frame::parse(body).unwrap();
        let Some(id) = frame.id().cloned() else { return full("application/json", "") };
        let tool = |name: &str| format!("{{\"name\":\"{name}\",\"inputSchema\":{{\"type\":\"object\"}}}}");
        let result = match (frame.method(), frame.param("cursor")) {
            (Some("initialize"), _) => {
                "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"tools\":{},\"prompts\":{}},\
                 \"serverInfo\":{\"name\":\"old\",\"version\":\"3\"}}"
                    .to_owned()
            }
            (Some("tools/list"), None) => format!("{{\"tools\":[{}],\"nextCursor\":\"2\"}}", tool("a")),
            (Some("tools/list"), Some(_)) => format!("{{\"tools\":[{}]}}", tool("b")),
            (Some("prompts/list"), _) => "{\"prompts\":[{\"name\":\"p\"}]}".to_owned(),
            _ => {
                let refused = reply::error(Some(&id), reply::code::METHOD_NOT_FOUND, "no such method", None);
                return full("application/json", refused);
            }
        };
        full("application/json", reply::result(&id, result))
    })
    .await
}

#[tokio::test]
async fn a_server_of_one_era_says_who_it_is_and_what_it_offers() {
    let peer = legacy().await;
    let probed = probe(&peer.upstream(), ProbeLimits::default()).await;
    let Spoken::Yes(introduced) = &probed.legacy else { panic!("{:?}", probed.legacy) };
    assert_eq!(introduced.info, Some(("old".to_owned(), "3".to_owned())));
    assert_eq!(introduced.versions, ["2025-06-18"]);
    let Spoken::No(reason) = &probed.modern else { panic!("{:?}", probed.modern) };
    assert!(reason.contains("-32601") && reason.contains("no such method"), "{reason}");
    let offered = probed.offered.unwrap();
    let tools: Vec<String> = offered.tools.unwrap().unwrap().into_iter().map(|tool| tool.name).collect();
    assert_eq!(tools, ["a", "b"], "every page is read");
    assert_eq!(offered.prompts, Some(Ok(1)));
    assert_eq!(offered.resources, None, "what it does not say that it has is not asked for");
}

#[tokio::test]
async fn a_server_that_is_not_there_speaks_nothing_and_says_why() {
    let peer = Peer::http(async |_| Response::builder().status(401).body(Body::Empty).unwrap()).await;
    let refused = probe(&peer.upstream(), ProbeLimits::default()).await;
    assert!(refused.offered.is_none());
    let Spoken::No(reason) = refused.legacy else { panic!("it refuses") };
    assert!(reason.contains("credential"), "{reason}");
}

#[tokio::test]
async fn a_list_without_an_end_is_given_up() {
    let peer = Peer::http(async |request| {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let frame = Frame::parse(body).unwrap();
        let Some(id) = frame.id().cloned() else { return full("application/json", "") };
        let result = match frame.method() {
            Some("initialize") => "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{}}}",
            _ => "{\"tools\":[],\"nextCursor\":\"again\"}",
        };
        full("application/json", reply::result(&id, result))
    })
    .await;
    let probed = probe(&peer.upstream(), ProbeLimits { pages_max: 3, ..ProbeLimits::default() }).await;
    let Some(Err(reason)) = probed.offered.unwrap().tools else { panic!("it has no end") };
    assert!(reason.contains("more than 3 pages"), "{reason}");
}
