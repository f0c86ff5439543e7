"""Members that begin, join, change and leave.

- `bootstrap` has the rules of the first start.
- `join` decides at a start whether the data are of use, asks for a part and for a vote, and learns
  whether this member was removed.
- `changes` takes requests for another configuration, and answers them when they are committed.
- `drain` decides which member may stop for a while, on the leader and on the member itself.
"""
