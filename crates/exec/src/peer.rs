//! Small servers for tests, on real sockets.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;
use tollgate_egress::Policy;

use crate::http::{HttpConfig, HttpUpstream};
use crate::{Body, BodyError};

/// A server, and how many connections it has accepted.
pub(crate) struct Peer {
    pub(crate) url: Uri,
    pub(crate) connections: Arc<AtomicUsize>,
}

impl Peer {
    /// An HTTP/1.1 server that answers each request with what `handler` says.
    pub(crate) async fn http<F, A>(handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::raw(move |stream| {
            let handler = handler.clone();
            let service = service_fn(move |request| {
                let answer = handler(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            async move {
                // A connection that the test cuts is no failure of the test.
                drop(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await,
                );
            }
        })
        .await
    }

    /// A server that does with each connection what `handler` does.
    pub(crate) async fn raw<F, A>(handler: F) -> Self
    where
        F: Fn(TcpStream) -> A + Send + 'static,
        A: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap()).parse().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (tasks, counter) = (TaskTracker::new(), Arc::clone(&connections));
        let accepting = tasks.clone();
        tasks.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                accepting.spawn(handler(stream));
            }
        });
        Self { url, connections }
    }

    /// The configuration of an upstream for it.
    pub(crate) fn config(&self) -> HttpConfig {
        HttpConfig::new("peer".parse().unwrap(), self.url.clone(), Policy::public().allow_url(&self.url))
    }

    /// An upstream for it.
    pub(crate) fn upstream(&self) -> HttpUpstream {
        HttpUpstream::new(self.config()).unwrap()
    }
}

/// A POST with a JSON body.
pub(crate) fn post(body: impl Into<Bytes>) -> Request<Body> {
    Request::post("/mcp").header("content-type", "application/json").body(Body::Full(body.into())).unwrap()
}

/// A response with a body at hand.
pub(crate) fn full(content_type: &str, body: impl Into<Bytes>) -> Response<Body> {
    Response::builder().header("content-type", content_type).body(Body::Full(body.into())).unwrap()
}

/// All that is left of a body.
pub(crate) async fn text(body: Body) -> Result<String, BodyError> {
    let bytes = body.collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

/// The next chunk of a body.
pub(crate) async fn chunk(body: &mut Body) -> Option<Result<Bytes, BodyError>> {
    body.frame().await.map(|frame| frame.map(|frame| frame.into_data().unwrap()))
}

/// All values of one header.
pub(crate) fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}
