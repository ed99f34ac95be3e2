//! How a unit reaches others: requests over a [`Transport`].

mod transport;

pub use transport::{Http, InProcess, Request, Response, Transport, TransportError};
