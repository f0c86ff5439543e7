"""The write path: a command is proposed, logged, applied and flushed.

- `write_path` puts these together, and has what concerns several of them.
- `proposals` checks commands, batches them into entries and answers whoever waits for an outcome.
- `timestamps` draws the time of an entry.
- `log_writer` gives the disk one job at a time.
- `applier` applies committed entries to the machine, a bounded number a turn.
- `flusher` decides when the state is written to the database.
- `retried_job` is what a job at the disk and one at the database have in common.
- `disk_space` knows whether log and database wait for space.
"""
