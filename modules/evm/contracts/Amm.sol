// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// A pool of two tokens that holds their product, for a fee of 0.3 %.
contract Amm is ERC20 {
    using SafeERC20 for IERC20;

    error TooLittle(uint256 got, uint256 least);

    event Swapped(address indexed who, bool zeroForOne, uint256 paid, uint256 got);

    IERC20 public immutable token0;
    IERC20 public immutable token1;
    uint256 public reserve0;
    uint256 public reserve1;

    constructor(IERC20 first, IERC20 second) ERC20("Pool share", "POOL") {
        (token0, token1) = (first, second);
    }

    function deposit(uint256 amount0, uint256 amount1) external returns (uint256 shares) {
        token0.safeTransferFrom(msg.sender, address(this), amount0);
        token1.safeTransferFrom(msg.sender, address(this), amount1);
        uint256 supply = totalSupply();
        shares = supply == 0
            ? Math.sqrt(amount0 * amount1)
            : Math.min(amount0 * supply / reserve0, amount1 * supply / reserve1);
        _mint(msg.sender, shares);
        (reserve0, reserve1) = (reserve0 + amount0, reserve1 + amount1);
    }

    function withdraw(uint256 shares) external returns (uint256 amount0, uint256 amount1) {
        uint256 supply = totalSupply();
        (amount0, amount1) = (shares * reserve0 / supply, shares * reserve1 / supply);
        _burn(msg.sender, shares);
        (reserve0, reserve1) = (reserve0 - amount0, reserve1 - amount1);
        token0.safeTransfer(msg.sender, amount0);
        token1.safeTransfer(msg.sender, amount1);
    }

    function quote(bool zeroForOne, uint256 paid) public view returns (uint256) {
        (uint256 x, uint256 y) = zeroForOne ? (reserve0, reserve1) : (reserve1, reserve0);
        uint256 kept = paid * 997;
        return kept * y / (x * 1000 + kept);
    }

    function swap(bool zeroForOne, uint256 paid, uint256 least) external returns (uint256 got) {
        got = quote(zeroForOne, paid);
        if (got < least) revert TooLittle(got, least);
        if (zeroForOne) {
            (reserve0, reserve1) = (reserve0 + paid, reserve1 - got);
        } else {
            (reserve0, reserve1) = (reserve0 - got, reserve1 + paid);
        }
        (IERC20 from, IERC20 to) = zeroForOne ? (token0, token1) : (token1, token0);
        from.safeTransferFrom(msg.sender, address(this), paid);
        to.safeTransfer(msg.sender, got);
        emit Swapped(msg.sender, zeroForOne, paid, got);
    }
}
