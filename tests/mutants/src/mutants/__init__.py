"""Planted bugs: the tests must catch each of them.

Each mutant is a function that patches the product, named by what the product then does wrong, with
the run that catches the bug. One module a room: `consensus` (libs/raft), `logs` (the WAL), `nodes`,
`states` (machine and database), `gateways`, `links`. `catching` has the kinds of runs: a script
that differs from the checked-in script, a seed of the bare core, a seed of the whole-node
simulator, a unit test.

`python -m mutants` replays the named run of each mutant; `--search` looks for another run, from the
first seed on, and says how long that took. A run that catches a mutant must find nothing
without the mutant: that is checked too.

The list is for what `tests/mutation` does not make: effects in the wrong order, missing syncs,
steps of a protocol, checks that are left out as a whole, and mechanisms that are replaced.

A script or a unit test that catches a mutant is better than a seed: a seed moves with what is sent.

Caveats: a bug that only makes the product slow, or that the rest of the product makes harmless, is
no mutant. A catch shows that this bug is found, not that every bug like it would be.
"""

from mutants.catching import Catch, Mutant
from mutants.consensus import MUTANTS as CONSENSUS
from mutants.gateways import MUTANTS as GATEWAYS
from mutants.links import MUTANTS as LINKS
from mutants.logs import MUTANTS as LOGS
from mutants.nodes import MUTANTS as NODES
from mutants.states import MUTANTS as STATES

MUTANTS = (*CONSENSUS, *LOGS, *NODES, *STATES, *GATEWAYS, *LINKS)

__all__ = ["MUTANTS", "Catch", "Mutant"]
