"""The `inventory` command: the client, the shell, and `inventory up`.

Data goes to stdout, everything else to stderr. Tables are for people on a terminal, `--output json`
for programs. Exit status: 0 done; 1 refused; 2 used wrongly; 3 not logged in, or not allowed; 4 no
answer in time, so that the outcome may be unknown; 5 done, but the result cannot be written; 130
and 143 ended by Ctrl-C and SIGTERM; 141 nobody reads the output any more.

- `process`: the command line as a process. `streams`: its stdin, stdout and stderr. `errors`: what
  ends a command early.
- `values`: what may be typed as a value. `passwords`: where passwords come from.
- `session`: the address, the login, and what the user reads of a change that is broken off.
- `output`: tables and JSON. `orders`: orders with the names of items. `terminal`: words.
- `commands`: one function a command. `cluster`: the commands that change members. `services`: what
  a container runs.
- `shell`: the commands in one sitting. `prompts`: how the shell asks.
- `up`: the whole system on this machine.
"""
