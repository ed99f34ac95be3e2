// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {ERC1967Utils} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Utils.sol";

/// A contract whose logic is changed while it runs: it keeps its state and its address.
/// The first logic comes with the constructor; its owner may set another.
contract Upgradable is ERC1967Proxy {
    error NotOwner(address who);

    constructor() payable ERC1967Proxy(address(new FirstLogic()), "") {
        ERC1967Utils.changeAdmin(msg.sender);
    }

    /// Makes a contract of `code`, and lets it decide from now on.
    function upgrade(bytes memory code) external returns (address logic) {
        if (msg.sender != ERC1967Utils.getAdmin()) revert NotOwner(msg.sender);
        assembly ("memory-safe") {
            logic := create(0, add(code, 32), mload(code))
        }
        ERC1967Utils.upgradeToAndCall(logic, "");
    }

    receive() external payable {}
}

contract FirstLogic {
    uint256 public count;

    function step() external returns (uint256) {
        return count += 1;
    }
}

contract SecondLogic {
    uint256 public count;

    function step() external returns (uint256) {
        return count += 10;
    }
}
