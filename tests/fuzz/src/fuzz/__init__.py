"""Fuzzers of every decoder that faces the network or the disk.

A target is a function that hands bytes to the decoder that ships. The decoder may refuse bytes with
its declared error; any other exception is a bug. So is work or memory out of proportion.

- `target`: what a target is.
- `clients`, `links`, `stored`, `machines`: the targets, by where the bytes come from.
- `mutations`: changes of known bytes, drawn from a seed.
- `judging`: what `make test` does: the corpus and a few thousand mutations, the same each time; the
  lines that run and the memory are counted on a sample.
- `guided`: what `make fuzz` does: libFuzzer, by atheris, which looks for bytes that reach further.
  `python -m fuzz` runs the targets, each in a process with bounds of time and memory.

`corpus/TARGET/` holds small inputs that together reach what longer runs have reached, and inputs
that once broke a target. Where a checksum or a key would stop every mutation, a target takes the
bytes below it, and makes the checksum itself.
"""
