"""Whole nodes and a gateway in one thread, in virtual time, from one seed.

The nodes, logs, consensus, state machines, databases and the gateway are the ones that ship; what
stands in for the world is here: `disk` (sectors that a crash may keep or lose), `store` (the real
database, whose jobs take virtual time), `network` and `streams` (delays, losses, partitions, links
that break), `timeline` (virtual time), `process` (a member, to be killed, paused and started),
`gateway` (the gateway's process), `clients` (who order, and retry until they know), `faults` (what
goes wrong and when, drawn from the seed), `checks` (what must hold after every event and at the
end), `trace` (a digest of all that happened). `world` puts them together; `hands` is a world where
a test itself says what happens next.

`python -m sim --seed 7` runs one seed and prints what it came to; `--seeds 100` runs that many from
there; `--trace` prints every event of one run. The same seed gives the same trace on every machine.

Caveats. One trouble comes at a time. A crash comes between two operations of the disk, never
within one, but any subset of the sectors written since the last sync may be lost. A database's
transaction is done whole or not at all: that is SQLite's own promise, and not tested here. Handling
an event takes no virtual time.
"""
