// A process as a network. Contracts come compiled from modules/evm, so there is no compiler here. Left to
// itself, hardhat offers a tip of one; and the process's account has no value.
require('@nomicfoundation/hardhat-ethers')

module.exports = {
  solidity: '0.8.30',
  networks: {
    process: { url: process.env.PROCESS_URL, accounts: [process.env.PROCESS_KEY], gasPrice: 0 },
    // A private chain that forks one: its accounts are its own.
    dev: { url: process.env.PROCESS_URL },
  },
}
