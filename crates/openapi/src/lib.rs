//! REST as MCP: an OpenAPI 3.0 or 3.1 document becomes tools, and a tool's arguments become one HTTP request.
//!
//! [`translate`] reads a document within [`Limits`] and gives the [`Tool`]s, each with its definition for `tools/list` and the
//! [`Operation`] that turns arguments into a [`RestRequest`]. An operation that cannot be called faithfully (a cookie that must
//! be set, a body that is no JSON, a style that is not known) is left out, with the reason.
//!
//! This crate sends nothing and fetches nothing: a reference to another document is an error. The address of the API is never
//! taken from the document, and no argument can leave the place that the document gives it: in a path it stays within its
//! segment, in a query within its value, in a header within its line. A JSON body is passed on byte for byte.
//!
//! ```
//! use tollgate_openapi::{Limits, translate};
//!
//! let document = br##"{"openapi":"3.1.0","info":{"title":"Pets","version":"1"},"paths":{"/pets/{id}":{"get":{
//!     "operationId":"getPet","parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"string"}}]}}}}"##;
//! let api = translate(document, &[], Limits::default())?;
//! let tool = &api.tools[0];
//! assert_eq!(tool.name, "getPet");
//! let request = tool.operation.request(br#"{"id":"a b?c"}"#)?;
//! assert_eq!((request.method.as_str(), request.path_and_query.as_str()), ("GET", "/pets/a%20b%3Fc"));
//! // Many servers decode a path before they look whose it is: this would be another operation's.
//! assert!(tool.operation.request(br#"{"id":"a/b"}"#).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod document;
mod encode;
mod operation;
mod parameter;
mod schema;
mod translate;

pub use document::{Limits, OpenApiError};
pub use operation::{ArgumentError, Operation, RestRequest};
pub use translate::{Api, LeftOut, Tool, translate};
