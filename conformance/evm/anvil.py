#!/usr/bin/env python3
"""Writes the same random state tests as `oracle.py`, with anvil's answers instead of the specification's.

    npm i @foundry-rs/anvil@1.7.1                                        (in a folder of its own)
    oracle/bin/python conformance/evm/anvil.py OUT --anvil PATH [--cases 10000] [--first 0]
    drivebay certify statetest OUT

Each case is one block with one signed transaction on a fresh chain. What the block is like (its number, time,
randomness, fee) is taken from anvil, so that the test says under what it was run. The answer is the root of all
accounts that anvil has after it (worked out here: anvil's blocks have none), and the hash of the logs of its
receipt. The receipt's gas is held to what the sender paid, which the root covers, and its status to its logs and
to the state that it leaves.
"""

import argparse
import gzip
import http.client
import json
import subprocess
import sys
import time
from pathlib import Path

from coincurve import PrivateKey
from ethereum.crypto.hash import keccak256
from ethereum.forks.osaka import fork_types, state as state_of
from ethereum_rlp import rlp
from ethereum_types.bytes import Bytes
from ethereum_types.numeric import U256, Uint

import oracle

PORT = 18545


class Anvil:
    def __init__(self, program, fork):
        words = [program, "--port", str(PORT), "--hardfork", fork, "--accounts", "0", "--chain-id", "1", "--no-mining"]
        words += ["--gas-limit", str(oracle.LIMIT), "--base-fee", "7", "--timestamp", "1", "--silent"]
        self.process = subprocess.Popen(words)
        self.connection = None
        self.empty = None
        for _ in range(100):
            try:
                self.one("eth_chainId")
                break
            except OSError:
                self.connection = None
                time.sleep(0.1)
        # Contracts that anvil makes by itself.
        for digits in ("0000f90827f1c53a10cb7a02335b175320002935", "4e59b44847b379578588920ca78fbf26c0b4956c"):
            self.one("anvil_setCode", "0x" + digits, "0x")

    def many(self, calls):
        """The answers to calls, which anvil may do in any order."""
        self.connection = self.connection or http.client.HTTPConnection("127.0.0.1", PORT)
        batch = [{"jsonrpc": "2.0", "id": at, "method": name, "params": list(rest)} for at, (name, *rest) in enumerate(calls)]
        self.connection.request("POST", "/", json.dumps(batch), {"content-type": "application/json"})
        answers = sorted(json.loads(self.connection.getresponse().read()), key=lambda answer: answer["id"])
        return answers

    def one(self, name, *params):
        [answer] = self.many([(name, *params)])
        if "error" in answer:
            raise RuntimeError(f"{name}: {answer['error']}")
        return answer["result"]

    def end(self):
        self.process.kill()
        self.process.wait()


def signed(given):
    """The transaction, signed for chain 1."""
    number = lambda n: n.to_bytes((n.bit_length() + 7) // 8, "big")
    nonce = given["pre"][oracle.SENDER][0]
    fields = [number(nonce), number(oracle.PRICE), number(given["gas"]), given["to"], number(given["value"]), given["data"]]
    digest = keccak256(rlp.encode([*fields, number(1), b"", b""]))
    signature = PrivateKey(oracle.KEY).sign_recoverable(bytes(digest), hasher=None)
    number_of = lambda part: number(int.from_bytes(part, "big"))
    return rlp.encode([*fields, number(37 + signature[64]), number_of(signature[:32]), number_of(signature[32:64])])


def unhex(digits):
    return bytes.fromhex(digits[2:])


def root(anvil):
    """The root of all accounts there are."""
    accounts = json.loads(gzip.decompress(unhex(anvil.one("anvil_dumpState"))))["accounts"]
    state = state_of.State()
    for who, account in accounts.items():
        nonce, balance, code = int(account["nonce"]), int(account["balance"], 16), unhex(account["code"])
        if nonce or balance or code:
            made = fork_types.Account(nonce=Uint(nonce), balance=U256(balance), code=Bytes(code))
            state_of.set_account(state, fork_types.Address(unhex(who)), made)
            for slot, value in account["storage"].items():
                key = U256(int(slot, 16)).to_be_bytes32()
                state_of.set_storage(state, fork_types.Address(unhex(who)), key, U256(int(value, 16)))
    return bytes(state_of.state_root(state))


def answered(anvil, given):
    """Block, root, hash of the logs, and whether the transaction was refused."""
    text = lambda data: "0x" + bytes(data).hex()
    word = lambda n: "0x" + n.to_bytes(32, "big").hex()
    calls = []
    for who, (nonce, balance, code, storage) in given["pre"].items():
        calls += [("anvil_setBalance", text(who), hex(balance)), ("anvil_setNonce", text(who), hex(nonce))]
        if code:
            calls.append(("anvil_setCode", text(who), text(code)))
        calls += [("anvil_setStorageAt", text(who), hex(slot), word(value)) for slot, value in storage.items()]
    calls += [("anvil_setCoinbase", text(oracle.COINBASE)), ("anvil_setNextBlockBaseFeePerGas", "0x7")]
    for answer in anvil.many(calls):
        if "error" in answer:
            raise RuntimeError(answer["error"])
    [sent] = anvil.many([("eth_sendRawTransaction", text(signed(given)))])
    refused = sent.get("error", {}).get("message", "not taken into the block")
    anvil.one("evm_mine")
    block, logs = anvil.one("eth_getBlockByNumber", "latest", False), []
    if block["transactions"]:
        refused = None
        receipt = anvil.one("eth_getTransactionReceipt", block["transactions"][0])
        paid = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
        before, value = given["pre"][oracle.SENDER][1], given["value"] * int(receipt["status"], 16)
        left = int(anvil.one("eth_getBalance", text(oracle.SENDER), "latest"), 16)
        if before - paid - value > left:
            raise RuntimeError("the receipt's gas is not what the sender paid")
        logs = [[unhex(log["address"]), [unhex(t) for t in log["topics"]], unhex(log["data"])] for log in receipt["logs"]]
    return block, text(root(anvil)), text(keccak256(rlp.encode(logs))), refused


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--anvil", required=True)
    arguments.add_argument("--cases", type=int, default=10_000)
    arguments.add_argument("--first", type=int, default=0)
    words = arguments.parse_args()
    words.out.mkdir(parents=True, exist_ok=True)
    for fork in oracle.FORKS:
        anvil = Anvil(words.anvil, fork)
        try:
            for start in range(words.first, words.first + words.cases, 100):
                end = min(start + 100, words.first + words.cases)
                cases = {f"seed{seed}": test(anvil, fork, oracle.case(seed)) for seed in range(start, end)}
                path = words.out / f"{fork}-{start:06}.json"
                path.write_text(json.dumps(cases, separators=(",", ":")) + "\n")
        finally:
            anvil.end()
        print(f"{fork}: {words.cases} cases", file=sys.stderr)


def test(anvil, fork, given):
    # Going back to a snapshot takes it away.
    anvil.empty and anvil.one("evm_revert", anvil.empty)
    anvil.empty = anvil.one("evm_snapshot")
    block, after, logs, refused = answered(anvil, given)
    end = {"hash": after, "logs": logs, "indexes": {"data": 0, "gas": 0, "value": 0}}
    if refused:
        end["expectException"] = refused
    made = oracle.unanswered(given)
    made["env"].update(
        currentNumber=block["number"],
        currentTimestamp=block["timestamp"],
        currentRandom=block["mixHash"],
        currentBaseFee=block["baseFeePerGas"],
        currentCoinbase=block["miner"],
    )
    made["post"] = {fork.capitalize(): [end]}
    return made


if __name__ == "__main__":
    main()
