"""Snapshots: for a peer that the log alone cannot bring up to date, and for this member.

- `transfer` sends the state to a peer, and takes the state that the leader sends.
- `retention` decides how much log is kept for a peer that receives a snapshot.
"""
