// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Foundry, IAmm, IToken, Log} from "../src/Foundry.sol";

/// Tests on a fork of the process: its code and its state, read slot by slot.
contract ForkTest is Foundry {
    IToken gold;
    address owner;

    function setUp() external {
        gold = IToken(vm.envAddress("GOLD"));
        owner = vm.envAddress("OWNER");
    }

    function test_StateIsThatOfTheProcess() external view {
        require(gold.totalSupply() == 1_000_000, "supply");
        require(keccak256(bytes(gold.name())) == keccak256("Gold"), "name");
        require(gold.balanceOf(owner) == 994_900, "the deposit and the swap are paid");
    }

    function test_TransfersOnTheFork() external {
        vm.prank(owner);
        gold.transfer(address(this), 7);
        require(gold.balanceOf(address(this)) == 7, "got");
        require(gold.balanceOf(owner) == 994_893, "paid");
    }

    function test_RevertsOnTheFork() external {
        bytes memory why = abi.encodeWithSelector(
            IToken.ERC20InsufficientBalance.selector, address(this), 0, 5
        );
        vm.expectRevert(why);
        gold.transfer(owner, 5);
    }

    function test_EventsOfTheProcess() external {
        address pool = vm.envAddress("POOL");
        bytes32[] memory topics = new bytes32[](1);
        topics[0] = IAmm.Swapped.selector;
        Log[] memory logs = vm.eth_getLogs(0, block.number, pool, topics);
        require(logs.length == 1, "one swap");
        (bool zeroForOne, uint256 paid, uint256 got) = abi.decode(logs[0].data, (bool, uint256, uint256));
        require(zeroForOne && paid == 100 && got == 97, "as it was");
        require(logs[0].topics[1] == bytes32(uint256(uint160(owner))), "who");
    }

    function test_SwapsOnTheFork() external {
        IAmm pool = IAmm(vm.envAddress("POOL"));
        uint256 quoted = pool.quote(true, 100);
        vm.expectRevert(abi.encodeWithSelector(IAmm.TooLittle.selector, quoted, 100));
        vm.prank(owner);
        pool.swap(true, 100, 100);
        vm.prank(owner);
        require(pool.swap(true, 100, quoted) == quoted, "got");
    }
}
