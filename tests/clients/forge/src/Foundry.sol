// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// A log as `eth_getLogs` has it.
struct Log {
    address emitter;
    bytes32[] topics;
    bytes data;
    bytes32 blockHash;
    uint64 blockNumber;
    bytes32 transactionHash;
    uint64 transactionIndex;
    uint256 logIndex;
    bool removed;
}

/// What is needed of forge's cheat codes.
interface Vm {
    function startBroadcast() external;
    function stopBroadcast() external;
    function prank(address) external;
    function roll(uint256) external;
    function eth_getLogs(uint256, uint256, address, bytes32[] calldata) external returns (Log[] memory);
    function expectRevert(bytes calldata) external;
    function envAddress(string calldata) external view returns (address);
    function envString(string calldata) external view returns (string memory);
    function readFile(string calldata) external view returns (string memory);
    function parseJsonBytes(string calldata, string calldata) external pure returns (bytes memory);
}

interface IToken {
    error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed);

    function approve(address, uint256) external returns (bool);
    function balanceOf(address) external view returns (uint256);
    function name() external view returns (string memory);
    function totalSupply() external view returns (uint256);
    function transfer(address, uint256) external returns (bool);
}

interface IAmm is IToken {
    error TooLittle(uint256 got, uint256 least);

    event Swapped(address indexed who, bool zeroForOne, uint256 paid, uint256 got);

    function deposit(uint256, uint256) external returns (uint256);
    function quote(bool, uint256) external view returns (uint256);
    function swap(bool, uint256, uint256) external returns (uint256);
}

abstract contract Foundry {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    /// A contract of modules/evm, made from what the compiler made of it.
    function made(string memory name, bytes memory arguments) internal returns (address at) {
        string memory file = string.concat(vm.envString("BUILT"), "/", name, ".json");
        bytes memory code = vm.parseJsonBytes(vm.readFile(file), ".bytecode");
        code = bytes.concat(code, arguments);
        assembly {
            at := create(0, add(code, 32), mload(code))
        }
        require(at != address(0), "the contract was not made");
    }
}
