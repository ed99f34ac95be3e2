"""Workload G on py-evm: the same code, the same transfers, as `token.rs` has them.

    python pyevm.py CODE_HEX [TRANSFERS]

Two roads: calls on a state, and the same with a state root after each.
"""

import sys
import time

from eth.chains.base import MiningChain
from eth.db.atomic import AtomicDB
from eth.vm.forks.prague import PragueVM
from eth.vm.message import Message
from eth.vm.transaction_context import BaseTransactionContext
from eth_hash.auto import keccak

CODE, COUNT = bytes.fromhex(sys.argv[1]), int(sys.argv[2] if len(sys.argv) > 2 else 1000)
HOLDERS = 100
HOME = b"\xaa" * 20
PLAIN = [keccak(n.to_bytes(8, "big"))[12:] for n in range(HOLDERS)]


def word(part):
    return part.rjust(32, b"\0")


def transfer(n):
    to = PLAIN[(n * 7 + 1) % HOLDERS]
    return bytes.fromhex("a9059cbb") + word(to) + (n % 9 + 1).to_bytes(32, "big")


def stage():
    chain = MiningChain.configure(vm_configuration=((0, PragueVM),))
    genesis = {
        "difficulty": 0,
        "gas_limit": 30_000_000,
        "timestamp": 0,
        "extra_data": b"",
        "nonce": bytes(8),
        "base_fee_per_gas": 0,
    }
    slots = {int.from_bytes(keccak(word(who) + bytes(32)), "big"): 1 << 60 for who in PLAIN}
    accounts = {HOME: {"balance": 0, "nonce": 1, "code": CODE, "storage": slots}}
    accounts |= {who: {"balance": 10**24, "nonce": 0, "code": b"", "storage": {}} for who in PLAIN}
    return chain.from_genesis(AtomicDB(), genesis, accounts).get_vm().state


def one(state, n):
    sender = PLAIN[n % HOLDERS]
    message = Message(gas=30_000_000, to=HOME, sender=sender, value=0, data=transfer(n), code=CODE)
    context = BaseTransactionContext(gas_price=0, origin=sender)
    computation = state.computation_class.apply_message(state, message, context)
    if computation.is_error:
        raise computation.error


def measure(name, after):
    state, times = stage(), []
    for part in range(10):
        start = time.process_time()
        for n in range(COUNT // 10):
            one(state, part * (COUNT // 10) + n)
            after(state)
        times.append((time.process_time() - start) / (COUNT // 10) * 1e6)
    print(f"  {name:<44} {sorted(times)[5]:7.0f} us")


measure("py-evm, calls", lambda state: None)
measure("py-evm, calls, root each", lambda state: (state.persist(), state.state_root))
