//! How a unit reaches others: requests over a [`Transport`].

mod gateway;
mod transport;

pub use gateway::{BlockTime, GatewayClient, GatewayClientError, Published, SchedulerLocation};
pub use transport::{Http, InProcess, Request, Response, Transport, TransportError};
