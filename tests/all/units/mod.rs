//! The units as their clients meet them, over their routers; and all of them together under bad luck.

mod ball;
mod checklist;
mod foreign;
mod hostile;
mod kill;
mod kit;
mod mu;
mod reads;
mod results;
mod sidecar;
mod sim;
mod su;
mod whole;
