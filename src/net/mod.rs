//! How a unit reaches others: requests over a [`Transport`].

mod gateway;
mod su;
mod transport;

pub use gateway::{BlockTime, GatewayClient, GatewayClientError, Published, SchedulerLocation};
pub(crate) use gateway::{transactions_found, transactions_query};
pub use su::{SuClient, SuError, SuTime};
pub use transport::{Http, InProcess, Request, Response, Transport, TransportError};
