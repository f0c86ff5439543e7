"""Attacks on a running system, from outside, and an honest client whose work is measured meanwhile.

- `honest`: orders by stream and by unary calls; how many a second, and what went wrong.
- `measured`: one attack between two times of peace: throughput, errors, memory of each process.
- `programs`: the attacks. Each runs in a process of its own: `python -m attacks`.
- `gateways`: a gateway that floods a member.
- `http2`: an HTTP/2 client that does what no honest client does.

An attack is bounded in time and in number, and reaches this machine's loopback only.
"""
