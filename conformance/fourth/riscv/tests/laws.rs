//! The laws hold for this machine.

fn main() {
    drivebay_conformance::laws::main(drivebay_riscv::Riscv::default(), drivebay_riscv::roles())
}
