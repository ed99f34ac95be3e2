"""PyPI's web3 8.0.0, unmodified, on the ERC-20 of modules/evm. Its one argument says where that is."""

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
