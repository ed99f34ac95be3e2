// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import {Ao, IOutbox} from "./Ao.sol";

/// An ERC-20 token that tells ao processes of what they get, as ao's own tokens do.
contract Token is ERC20 {
    constructor(string memory name, string memory symbol, uint256 supply) ERC20(name, symbol) {
        _mint(msg.sender, supply);
    }

    /// Transfers to whoever ao knows by `recipient`, and sends them a `Credit-Notice`.
    function transferTo(string calldata recipient, uint256 amount) external {
        _transfer(msg.sender, Ao.OUTBOX.addressOf(recipient), amount);
        IOutbox.Tag[] memory tags = Ao.one("Action", "Credit-Notice");
        tags = Ao.and(tags, "Sender", Ao.sender());
        tags = Ao.and(tags, "Quantity", digits(amount));
        Ao.send(recipient, tags, "");
    }

    function digits(uint256 number) private pure returns (string memory) {
        if (number == 0) return "0";
        uint256 length;
        for (uint256 rest = number; rest > 0; rest /= 10) length++;
        bytes memory text = new bytes(length);
        for (; number > 0; number /= 10) text[--length] = bytes1(uint8(48 + number % 10));
        return string(text);
    }
}
