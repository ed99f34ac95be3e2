//! The laws hold for `Tape`.

mod common;

fn main() {
    drivebay_conformance::laws::main(drivebay_disk::testing::Tape::default(), common::tape_roles())
}
