"""Members that begin, join, change and leave.

- `bootstrap` has the rules of the first start.
- `join` decides at a start whether the member's data are of use. `join` also asks for membership
  and for a vote, and learns whether this member was removed.
- `changes` takes requests for another configuration, and answers the requests after the commit.
- `drain` decides which member may stop for a while, on the leader and on the member itself.
"""
