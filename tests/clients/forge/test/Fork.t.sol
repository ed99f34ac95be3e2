// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Foundry, IToken} from "../src/Foundry.sol";

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
}
