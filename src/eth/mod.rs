//! Ethereum's JSON-RPC, one for each EVM process: `/eth/{process}`, over HTTP with batches and over
//! WebSocket with subscriptions.
//!
//! A slot is a block, and each of its evaluations is a transaction. What is read is the compute unit's; what
//! is sent travels as an ao message through messenger and scheduler, so the schedule is the only truth.
//! `README.md` beside this file has the methods, and where a process differs from a chain.

mod accounts;
mod block;
mod blocks;
mod call;
mod error;
mod filters;
mod ground;
mod index;
mod logs;
mod methods;
mod params;
mod private;
mod process;
mod pulse;
mod send;
mod server;
mod simulate;
mod subscribe;
mod trace;

pub use server::router;

use crate::{cu::Face, item::Wallet, net::Transport};
use filters::Filters;
use index::Indices;
use private::Chains;
use pulse::Pulses;
use std::sync::Arc;

/// What serves Ethereum's tools.
pub struct Eth {
    /// The compute unit that is asked.
    face: Arc<Face>,
    /// How transactions are sent; without it, they are refused.
    post: Option<Post>,
    indices: Indices,
    filters: Filters,
    pulses: Pulses,
    /// Private chains of developers; `None` if there are none here.
    private: Option<Chains>,
}

/// How transactions are sent.
pub struct Post {
    /// Signs the messages that bear them.
    pub wallet: Wallet,
    /// The messenger or the scheduler that takes them.
    pub url: String,
    /// How it is reached.
    pub transport: Arc<dyn Transport>,
}

impl Eth {
    /// For the processes of a compute unit.
    pub fn new(face: Arc<Face>, post: Option<Post>) -> Self {
        let (indices, filters) = (Indices::default(), Filters::default());
        Self { face, post, indices, filters, pulses: Pulses::default(), private: None }
    }

    /// From now on, developers have private chains that fork its processes.
    pub fn with_private_chains(self) -> Self {
        Self { private: Some(Chains::default()), ..self }
    }
}
