"""`inventory up`: the whole system on this machine, each part a process.

- `layout`: where things lie below the data directory, and what the first start makes there.
- `ports`: which ports, and who is told when one is taken. `places`: what a start says of them.
- `processes`: the children: started, watched, started again, stopped.
- `pids`: their process ids, for whoever finds them left running.
- `readiness`: when the system is ready, and who is missing then.
- `view`: what is shown: a live table on a terminal, lines elsewhere.
- `command`: the command itself.
"""
