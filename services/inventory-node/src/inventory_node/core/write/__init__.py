"""The write path: a command is proposed, logged, applied and flushed.

- `write_path` puts the parts together, and has the work that concerns several parts.
- `proposals` checks commands, batches commands into entries and answers the waiting gateways.
- `command_lines` has the commands that wait, in a line for each gateway.
- `timestamps` draws the stamp of an entry.
- `log_writer` gives the disk one job at a time.
- `applier` applies committed entries to the machine, a bounded number a turn.
- `flusher` decides when the state is flushed to the database.
- `retried_job` tracks one outstanding job of the disk or of the database.
- `disk_space` knows whether log and database wait for space.
"""
