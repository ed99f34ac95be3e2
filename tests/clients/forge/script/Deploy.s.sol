// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Foundry, IAmm, IToken} from "../src/Foundry.sol";

/// A second token and a pool, and a swap in it.
contract Deploy is Foundry {
    function run() external returns (address silver, address pool, uint256 got) {
        IToken gold = IToken(vm.envAddress("GOLD"));
        vm.startBroadcast();
        silver = made("Token", abi.encode("Silver", "SLV", uint256(1_000_000)));
        pool = made("Amm", abi.encode(gold, silver));
        gold.approve(pool, 10_000);
        IToken(silver).approve(pool, 10_000);
        IAmm(pool).deposit(5_000, 5_000);
        got = IAmm(pool).swap(true, 100, 1);
        vm.stopBroadcast();
    }
}
