//! The programs of the differential test as messages for a process that evaluates Lua, one a line: to be played by
//! other interpreters too.
//!
//!     cargo run --release --example programs -- 2000 > programs.jsonl
#![allow(clippy::print_stdout, clippy::indexing_slicing, reason = "a tool for tests")]

use drivebay_disk::json::{Json, Value};

#[path = "../tests/all/maker.rs"]
mod maker;

fn main() {
    let count = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(2000);
    for number in 0..count {
        let program = maker::program(number) + "return table.concat(out, '\\n')";
        let tags = Value::object([("Action", Value::from("Eval"))]);
        let message = Value::object([("Tags", tags), ("Data", Value::from(program))]);
        println!("{}", Json::from(message).as_str());
    }
}
