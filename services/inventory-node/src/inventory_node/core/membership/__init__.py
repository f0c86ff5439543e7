"""Members that begin, join, change and leave.

- `bootstrap` has the rules of the first start.
- `join` asks for a part and for a vote, and learns whether this member was removed.
- `changes` takes requests for another configuration, and answers them when they are committed.
- `drain` decides on the leader which member may stop for a while.
"""
