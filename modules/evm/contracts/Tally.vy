# SPDX-License-Identifier: Apache-2.0
# pragma version ~=0.4.3
"""
@notice Counts votes: the same machine, another language.
"""

event Voted:
    who: indexed(address)
    choice: uint256

votes: public(HashMap[uint256, uint256])
voted: public(HashMap[address, bool])

@external
def vote(choice: uint256) -> uint256:
    assert not self.voted[msg.sender], "voted already"
    self.voted[msg.sender] = True
    self.votes[choice] += 1
    log Voted(who=msg.sender, choice=choice)
    return self.votes[choice]
