// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// The precompile through which a contract reaches ao. `vms/evm/README.md` has its rules and prices.
/// What returns nothing is called through `Ao`: before such a call Solidity looks for code at the address,
/// and a precompile has none.
interface IOutbox {
    struct Tag {
        string name;
        string value;
    }

    function send(string calldata target, Tag[] calldata tags, bytes calldata data) external;
    function spawn(string calldata module, Tag[] calldata tags, bytes calldata data) external;
    function assign(string calldata message, string[] calldata processes) external;
    function withdraw(string calldata recipient) external payable;
    function message()
        external
        view
        returns (string memory id, string memory from, string memory owner, string memory target);
    function tag(string calldata name) external view returns (bool found, string memory value);
    function data() external view returns (bytes memory);
    function process()
        external
        view
        returns (string memory id, string memory owner, uint256 blockHeight, uint256 timestampMs);
    function read(string calldata id, uint256 from, uint256 length)
        external
        view
        returns (bool found, uint256 total, bytes memory bytes_);
    function addressOf(string calldata id) external view returns (address);
}

/// What a contract says to ao, in fewer words.
library Ao {
    IOutbox internal constant OUTBOX = IOutbox(0x616F2E6f7574626F7800000000000000000000A0);

    /// Sends a message with an `Action` and no data.
    function act(string memory target, string memory action) internal {
        send(target, one("Action", action), "");
    }

    /// Sends a message.
    function send(string memory target, IOutbox.Tag[] memory tags, bytes memory data) internal {
        call(abi.encodeCall(IOutbox.send, (target, tags, data)), 0);
    }

    /// Spawns a process.
    function spawn(string memory module, IOutbox.Tag[] memory tags, bytes memory data) internal {
        call(abi.encodeCall(IOutbox.spawn, (module, tags, data)), 0);
    }

    /// Assigns a message to processes.
    function assign(string memory message, string[] memory processes) internal {
        call(abi.encodeCall(IOutbox.assign, (message, processes)), 0);
    }

    /// Takes value out of the process, to whoever ao knows by `recipient`.
    function withdraw(string memory recipient, uint256 amount) internal {
        call(abi.encodeCall(IOutbox.withdraw, (recipient)), amount);
    }

    function call(bytes memory what, uint256 amount) private {
        (bool done, bytes memory why) = address(OUTBOX).call{value: amount}(what);
        if (!done) {
            assembly {
                revert(add(why, 32), mload(why))
            }
        }
    }

    /// Answers whoever sent the current message, with its reference.
    function reply(IOutbox.Tag[] memory tags, bytes memory data) internal {
        (, string memory from,,) = OUTBOX.message();
        (bool found, string memory ref) = OUTBOX.tag("Reference");
        send(from, found ? and(tags, "X-Reference", ref) : tags, data);
    }

    /// The last value of a tag of the current message; empty if it has none.
    function tag(string memory name) internal view returns (string memory value) {
        (, value) = OUTBOX.tag(name);
    }

    /// Who sent the current message, as ao knows them.
    function sender() internal view returns (string memory from) {
        (, from,,) = OUTBOX.message();
    }

    /// A list of one tag.
    function one(string memory name, string memory value)
        internal
        pure
        returns (IOutbox.Tag[] memory tags)
    {
        tags = new IOutbox.Tag[](1);
        tags[0] = IOutbox.Tag(name, value);
    }

    /// A list with one more tag.
    function and(IOutbox.Tag[] memory tags, string memory name, string memory value)
        internal
        pure
        returns (IOutbox.Tag[] memory more)
    {
        more = new IOutbox.Tag[](tags.length + 1);
        for (uint256 i = 0; i < tags.length; i++) {
            more[i] = tags[i];
        }
        more[tags.length] = IOutbox.Tag(name, value);
    }
}
