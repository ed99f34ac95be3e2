// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Ao} from "./Ao.sol";

/// Counts, and tells who asks.
contract Counter {
    error TooMuch(uint256 wanted, uint256 allowed);

    event Counted(address indexed who, uint256 count);

    uint256 public count;

    constructor(uint256 start) payable {
        count = start;
    }

    /// Adds `by`, and answers whoever sent the message with the new count.
    function add(uint256 by) external returns (uint256) {
        if (by > 1000) revert TooMuch(by, 1000);
        count += by;
        emit Counted(msg.sender, count);
        return count;
    }

    /// Any message whose action is no function of this contract: answers with the count.
    fallback() external payable {
        Ao.reply(Ao.one("Action", "Count"), bytes(digits(count)));
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
