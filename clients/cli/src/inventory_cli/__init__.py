"""The `inventory` command: the client, the shell, and `inventory up`.

Data goes to stdout, everything else to stderr. Tables are for people on a terminal, `--output json`
for programs. Exit status: 0 done; 1 refused; 2 used wrongly; 3 not logged in, or not allowed; 4 no
answer in time, so that the outcome may be unknown; 5 done, but the result cannot be written; 130
and 143 ended by Ctrl-C and SIGTERM; 141 nobody reads the output any more.

- `process`: the command line as a process. `streams`: its stdin, stdout and stderr.
- `values`: what may be typed as a value. `passwords`: where they come from.
- `session`: the address, who is logged in, and what is said of a change that is broken off.
- `output`: tables and JSON. `orders`: orders with the names of items. `terminal`: words.
- `commands`: one function a command. `cluster`: those of the members. `services`: what a container
  runs.
- `shell`: the same in one sitting. `prompts`: how it asks.
- `up`: the whole system on this machine.
"""
