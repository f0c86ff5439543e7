"""The leader's survey of the members: their clocks, their states, and who is fit to lead.

- `rounds` asks every member each few seconds, and acts on the answers.
- `divergence` compares the hashes of the members' states.
- `leader_fitness` says what keeps each member from leading well, and who leads better.
"""
