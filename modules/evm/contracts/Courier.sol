// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Ao, IOutbox} from "./Ao.sol";

/// Everything that a contract can say to ao and hear of it, a function each; and what a revert takes back.
contract Courier {
    error Undone(string target);

    function post(string calldata target, string calldata action, bytes calldata data) external {
        Ao.send(target, Ao.one("Action", action), data);
    }

    function hatch(string calldata module, string calldata name) external {
        Ao.spawn(module, Ao.one("Name", name), "");
    }

    function pass(string calldata message, string[] calldata processes) external {
        Ao.assign(message, processes);
    }

    function answer(string calldata action) external {
        Ao.reply(Ao.one("Action", action), "");
    }

    function current()
        external
        view
        returns (string memory id, string memory from, string memory owner, string memory target)
    {
        return Ao.OUTBOX.message();
    }

    function heard(string calldata name) external view returns (string memory) {
        return Ao.tag(name);
    }

    /// Sends, and thinks better of it.
    function lose(string calldata target) external {
        Ao.act(target, "Lost");
        Ao.spawn(target, Ao.one("Name", "Lost"), "");
        revert Undone(target);
    }

    /// What a frame that reverts has sent is gone; what stands around it is not.
    function tryToLose(string calldata target) external {
        Ao.act(target, "Before");
        try this.lose(target) {
            revert Undone("it did not revert");
        } catch (bytes memory why) {
            Ao.send(target, Ao.one("Action", "After"), why);
        }
    }
}
