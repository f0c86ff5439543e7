"""The leader's survey of the members: their clocks, their states, and who is fit to lead.

- `rounds` surveys every member each few seconds, and acts on the replies.
- `divergence` compares the hashes of the members' states.
- `leader_fitness` knows each member's impairment, and picks the fittest successor.
"""
