"""PyPI's web3 8.0.0, unmodified, on the ERC-20 and the AMM of modules/evm. Its one argument says where."""

import json
import sys

from web3 import Web3
from web3.exceptions import ContractCustomError

where = json.loads(sys.argv[1])
chain = Web3(Web3.HTTPProvider(where["url"]))
token = chain.eth.contract(address=where["home"], abi=where["abi"])
account = chain.eth.account.from_key(where["key"])
other = "0x00000000000000000000000000000000000000AA"

assert chain.client_version.startswith("drivebay/")
assert chain.eth.block_number == 0
assert token.functions.name().call() == "Gold"
assert token.functions.balanceOf(account.address).call() == 1_000_000

nonce = chain.eth.get_transaction_count(account.address)
wanted = token.functions.transfer(other, 7).build_transaction(
    {"from": account.address, "nonce": nonce}
)
sent = chain.eth.send_raw_transaction(account.sign_transaction(wanted).raw_transaction)
receipt = chain.eth.wait_for_transaction_receipt(sent)
assert receipt.status == 1
(event,) = token.events.Transfer().process_receipt(receipt)
assert dict(event.args) == {"from": account.address, "to": other, "value": 7}
assert chain.eth.get_transaction(sent).nonce == nonce
assert chain.eth.get_block("latest").transactions == [sent]
assert len(token.events.Transfer().get_logs(from_block=0)) == 1

try:
    token.functions.transfer(other, 9).call({"from": where["home"]})
except ContractCustomError as error:
    assert error.data.startswith("0xe450d38c"), error  # ERC20InsufficientBalance
else:
    raise AssertionError("it did not revert")


def mined(call, **more):
    """The receipt of a call, or of a contract's making."""
    count = chain.eth.get_transaction_count(account.address)
    built = call.build_transaction({"from": account.address, "nonce": count, **more})
    raw = account.sign_transaction(built).raw_transaction
    done = chain.eth.wait_for_transaction_receipt(chain.eth.send_raw_transaction(raw))
    assert done.status == 1
    return done


def make(name, *args):
    """A contract of modules/evm, made by a transaction."""
    with open(f"{where['built']}/{name}.json", encoding="utf8") as file:
        artifact = json.load(file)
    kind = chain.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"])
    address = mined(kind.constructor(*args)).contractAddress
    return chain.eth.contract(address=address, abi=artifact["abi"])


silver = make("Token", "Silver", "SLV", 1_000_000)
pool = make("Amm", token.address, silver.address)
for coin in (token, silver):
    mined(coin.functions.approve(pool.address, 10_000))
mined(pool.functions.deposit(5_000, 5_000))
quoted = pool.functions.quote(True, 100).call()
receipt = mined(pool.functions.swap(True, 100, quoted))
(swapped,) = pool.events.Swapped().get_logs(from_block=0)
assert (swapped.args.paid, swapped.args.got) == (100, quoted), swapped
assert swapped.transactionHash == receipt.transactionHash

try:
    pool.functions.swap(True, 100, 100).call({"from": account.address})
except ContractCustomError as error:
    words = bytes.fromhex(error.data[10:])
    said = [int.from_bytes(words[at : at + 32], "big") for at in (0, 32)]
    selector = chain.keccak(text="TooLittle(uint256,uint256)")[:4].hex()
    assert error.data.startswith(f"0x{selector}") and said == [94, 100], error
else:
    raise AssertionError("it did not revert")
