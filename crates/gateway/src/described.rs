//! The HTTP API as a document: OpenAPI 3.1, and a page that shows it.
//!
//! A door is added to [`Doors`] together with the [`Operation`] that describes it, and there is no other way in: what is served
//! is described, and the reverse. Schemas and examples are JSON text beside the handlers, not macros over their structs: the
//! doors read bodies strictly and borrow from them, and answer what the street renders, so there is no struct of an answer that
//! a macro could look at. The tests hold each example against its schema, and a fuzzing client holds the answers of a running
//! gateway against all of it.

mod document;
mod operation;
mod page;

#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodRouter, on};
use bytes::Bytes;
use serde_json::Value;

pub(crate) use axum::routing::MethodFilter as Verb;
pub(crate) use operation::{
    Access, Body, Example, Group, Operation, Parameter, Place, Schema, Shape, Told, UNREAD,
};
pub(crate) use page::CONTENT_SECURITY_POLICY;

use crate::gateway::Gateway;

/// One operation at its place.
#[derive(Clone, Copy)]
pub(crate) struct Served {
    pub(crate) verb: Verb,
    pub(crate) path: &'static str,
    pub(crate) operation: &'static Operation,
}

/// Routes, each with its description.
pub(crate) struct Doors<S = Arc<Gateway>> {
    router: Router<S>,
    served: Vec<Served>,
    schemas: Vec<&'static [Schema]>,
}

impl<S: Clone + Send + Sync + 'static> Doors<S> {
    /// None yet; `schemas` are those that their operations name.
    pub(crate) fn new(schemas: &'static [Schema]) -> Self {
        Self { router: Router::new(), served: Vec::new(), schemas: vec![schemas] }
    }

    /// Adds a door for `GET`.
    pub(crate) fn get<H, T>(self, path: &'static str, handler: H, operation: &'static Operation) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.add(Verb::GET, path, handler, operation)
    }

    /// Adds a door for `POST`.
    pub(crate) fn post<H, T>(self, path: &'static str, handler: H, operation: &'static Operation) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.add(Verb::POST, path, handler, operation)
    }

    /// Adds a door for `PUT`.
    pub(crate) fn put<H, T>(self, path: &'static str, handler: H, operation: &'static Operation) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.add(Verb::PUT, path, handler, operation)
    }

    /// Adds a door for `DELETE`.
    pub(crate) fn delete<H, T>(self, path: &'static str, handler: H, operation: &'static Operation) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.add(Verb::DELETE, path, handler, operation)
    }

    fn add<H, T>(mut self, verb: Verb, path: &'static str, handler: H, operation: &'static Operation) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let door: MethodRouter<S> = on(verb, handler);
        self.router = self.router.route(path, door);
        self.served.push(Served { verb, path, operation });
        self
    }

    /// Adds what others have.
    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.served.extend(other.served);
        self.schemas.extend(other.schemas);
        self
    }

    /// The routes.
    pub(crate) fn into_router(self) -> Router<S> {
        self.router
    }

    /// The descriptions.
    pub(crate) fn described(self) -> Described {
        Described { served: self.served, schemas: self.schemas }
    }
}

/// What doors say of themselves.
pub(crate) struct Described {
    served: Vec<Served>,
    schemas: Vec<&'static [Schema]>,
}

impl Described {
    /// With what others say.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.served.extend(other.served);
        self.schemas.extend(other.schemas);
        self
    }

    fn schemas(&self) -> impl Iterator<Item = &'static Schema> {
        self.schemas.iter().flat_map(|schemas| schemas.iter())
    }
}

/// The OpenAPI document of every door that this version of the gateway can open. It depends on nothing else, so that one file
/// in the documentation holds it.
pub fn openapi() -> Value {
    document::of(&crate::doors::described())
}

/// The document as it is served.
pub(crate) fn openapi_json() -> Bytes {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| openapi().to_string().into());
    TEXT.clone()
}

/// The page that shows it, without scripts and without anything from elsewhere.
pub(crate) fn openapi_page() -> Bytes {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| page::of(&crate::doors::described()).into());
    TEXT.clone()
}
