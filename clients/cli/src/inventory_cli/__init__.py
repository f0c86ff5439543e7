"""The `inventory` command: the client, the shell, and `inventory up`.

Data goes to stdout, everything else to stderr. Tables are for people on a terminal, `--output json`
for programs. Exit status: 0 done; 1 refused; 2 used wrongly; 3 not logged in, or not allowed; 4 no
answer in time, so that the outcome may be unknown.

- `session`: the address, and who is logged in. `output`: tables and JSON.
- `commands`: one function a command. `shell`: the same in one sitting.
- `up`: the whole system on this machine.
"""
