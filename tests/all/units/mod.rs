//! The units as their clients meet them, over their routers; and all of them together under bad luck.

mod hostile;
mod kill;
mod kit;
mod mu;
mod sim;
mod su;
