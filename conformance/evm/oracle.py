#!/usr/bin/env python3
"""Writes random state tests whose answers are those of Ethereum's executable specification.

    python3 -m venv oracle && oracle/bin/pip install ethereum-execution==2.20.0
    oracle/bin/python conformance/evm/oracle.py OUT [--cases 10000] [--first 0]
    drivebay certify statetest OUT

Each case is a seeded program in one or two contracts and a transaction, under Prague and Osaka. The gas
price is not 0, so that the state root covers the gas that was used. Files have 100 cases each.
"""

import argparse
import json
import random
from importlib import import_module
from pathlib import Path

from coincurve import PrivateKey
from ethereum.crypto.hash import keccak256
from ethereum.exceptions import EthereumException
from ethereum_rlp import rlp
from ethereum_types.bytes import Bytes, Bytes0, Bytes32
from ethereum_types.numeric import U64, U256, Uint

FORKS = ["prague", "osaka"]
KEY = bytes.fromhex("45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8")
SENDER = keccak256(PrivateKey(KEY).public_key.format(compressed=False)[1:])[12:]
COINBASE = bytes.fromhex("2adc25665018aa1fe0e6bc666dac8fc2697ff9ba")
CALLEES = [bytes.fromhex("00000000000000000000000000000000000000" + n) for n in ("aa", "bb")]
RANDAO = bytes(range(32))
PRICE, TIME, LIMIT = 16, 1000, 30_000_000

# Instructions that do something; BLOCKHASH is left out, since these tests have no chain.
USEFUL = bytes.fromhex(
    "0102030405060708090a0b1011121314151617 18191a1b1c1d1e20 303132333435363738393a3b3c3d3e3f"
    "4142434446 4748 505152535455565758595a5b5c5d5e5f 80818283 909192 a0a1a2 f0f1f2f3f4f5fafdff".replace(" ", "")
)


def program(rng):
    code = bytearray()
    for _ in range(rng.randrange(4, 70)):
        kind = rng.randrange(12)
        if kind < 3:
            code += bytes([0x60, rng.randrange(256)])
        elif kind == 3:
            code += bytes([0x60, rng.randrange(0x12)])
        elif kind == 4:
            code += bytes([0x73]) + rng.choice(CALLEES)
        elif kind == 5:
            code += bytes([0x61]) + rng.randbytes(2)
        elif kind == 6 and rng.randrange(3) == 0:
            code += bytes([0x7F]) + rng.randbytes(32)
        elif kind == 7:
            code += call(rng)
        elif kind == 8 and rng.randrange(20) == 0:
            code.append(rng.randrange(256))
        else:
            code.append(rng.choice(USEFUL))
    return bytes(code)


def call(rng):
    """A call with small memory ranges, so that it is not mere waste."""
    kind = rng.choice([0xF1, 0xF1, 0xF2, 0xF4, 0xFA])
    out = bytearray()
    for _ in range(4):
        out += bytes([0x60, rng.randrange(0, 160)])
    if kind in (0xF1, 0xF2):
        out += bytes([0x60, rng.choice([0, 0, 0, 1, 200])])
    if rng.randrange(3) == 0:
        out += bytes([0x60, rng.randrange(1, 0x12)])
    else:
        out += bytes([0x73]) + rng.choice(CALLEES)
    gas = bytes([0x5A]) if rng.randrange(2) else bytes([0x62]) + rng.randbytes(3)
    return bytes(out + gas + bytes([kind]))


def case(seed):
    rng = random.Random(f"drivebay evm oracle {seed}")
    pre = {SENDER: (rng.randrange(3), 10**15, b"", {})}
    for callee in CALLEES:
        storage = {rng.randrange(4): rng.randrange(1, 300) for _ in range(rng.randrange(3))}
        pre[callee] = (1, rng.randrange(1000), program(rng), storage)
    create = rng.randrange(6) == 0
    return {
        "pre": pre,
        "to": b"" if create else CALLEES[0],
        "data": program(rng) if create else rng.randbytes(rng.randrange(70)),
        "gas": rng.choice([21_000, 60_000, 200_000, 1_000_000]),
        "value": rng.choice([0, 0, 1, 1000]),
    }


def expected(fork, given):
    """State root and hash of the logs, by the specification."""
    load = lambda name: import_module(f"ethereum.forks.{fork}.{name}")
    types, state_of, vm = load("fork_types"), load("state"), load("vm")
    address = types.Address
    state = state_of.State()
    for who, (nonce, balance, code, storage) in given["pre"].items():
        account = types.Account(nonce=Uint(nonce), balance=U256(balance), code=Bytes(code))
        state_of.set_account(state, address(who), account)
        for slot, value in storage.items():
            state_of.set_storage(state, address(who), U256(slot).to_be_bytes32(), U256(value))
    env = vm.BlockEnvironment(
        chain_id=U64(1),
        state=state,
        block_gas_limit=Uint(LIMIT),
        block_hashes=[Bytes32(bytes(32))],
        coinbase=address(COINBASE),
        number=Uint(1),
        base_fee_per_gas=Uint(7),
        time=U256(TIME),
        prev_randao=Bytes32(RANDAO),
        excess_blob_gas=U64(0),
        parent_beacon_block_root=Bytes32(bytes(32)),
    )
    transactions = load("transactions")
    tx = transactions.LegacyTransaction(
        nonce=U256(given["pre"][SENDER][0]),
        gas_price=Uint(PRICE),
        gas=Uint(given["gas"]),
        to=address(given["to"]) if given["to"] else Bytes0(),
        value=U256(given["value"]),
        data=Bytes(given["data"]),
        v=U256(0),
        r=U256(0),
        s=U256(0),
    )
    digest = transactions.signing_hash_155(tx, U64(1))
    signature = PrivateKey(KEY).sign_recoverable(bytes(digest), hasher=None)
    fields = {name: getattr(tx, name) for name in ("nonce", "gas_price", "gas", "to", "value", "data")}
    number = lambda part: U256(int.from_bytes(part, "big"))
    tx = transactions.LegacyTransaction(
        **fields, v=U256(37 + signature[64]), r=number(signature[:32]), s=number(signature[32:64])
    )
    output = vm.BlockOutput()
    try:
        load("fork").process_transaction(env, output, tx, Uint(0))
        exception = None
    except EthereumException as error:
        exception = type(error).__name__
    logs = keccak256(rlp.encode(output.block_logs))
    return bytes(state_of.state_root(state)), bytes(logs), exception


def test(given):
    """A state test, with the specification's answers."""
    text = lambda data: "0x" + bytes(data).hex()
    post = {}
    for fork in FORKS:
        root, logs, exception = expected(fork, given)
        end = {"hash": text(root), "logs": text(logs), "indexes": {"data": 0, "gas": 0, "value": 0}}
        if exception:
            end["expectException"] = exception
        post[fork.capitalize()] = [end]
    return {**unanswered(given), "post": post}


def unanswered(given):
    """What a state test says before its answers."""
    text = lambda data: "0x" + bytes(data).hex()
    number = lambda n: hex(n)
    return {
        "env": {
            "currentCoinbase": text(COINBASE),
            "currentDifficulty": "0x0",
            "currentRandom": text(RANDAO),
            "currentGasLimit": number(LIMIT),
            "currentNumber": "0x1",
            "currentTimestamp": number(TIME),
            "currentBaseFee": "0x7",
            "currentExcessBlobGas": "0x0",
        },
        "pre": {
            text(who): {
                "nonce": number(nonce),
                "balance": number(balance),
                "code": text(code),
                "storage": {number(slot): number(value) for slot, value in storage.items()},
            }
            for who, (nonce, balance, code, storage) in given["pre"].items()
        },
        "transaction": {
            "nonce": number(given["pre"][SENDER][0]),
            "gasPrice": number(PRICE),
            "gasLimit": [number(given["gas"])],
            "to": text(given["to"]) if given["to"] else "",
            "value": [number(given["value"])],
            "data": [text(given["data"])],
            "secretKey": text(KEY),
            "sender": text(SENDER),
        },
    }


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--cases", type=int, default=10_000)
    arguments.add_argument("--first", type=int, default=0)
    given = arguments.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for start in range(given.first, given.first + given.cases, 100):
        end = min(start + 100, given.first + given.cases)
        cases = {f"seed{seed}": test(case(seed)) for seed in range(start, end)}
        path = given.out / f"{start:06}.json"
        path.write_text(json.dumps(cases, separators=(",", ":")) + "\n")
        print(path)


if __name__ == "__main__":
    main()
