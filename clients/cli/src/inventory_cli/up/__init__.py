"""`inventory up`: the whole system on this machine, as the processes that it is made of.

- `layout`: where things lie below the data directory, and what the first start makes there.
- `processes`: the children: started, watched, started again, stopped.
- `view`: what is shown: a live table on a terminal, lines elsewhere.
- `command`: the command itself.
"""
