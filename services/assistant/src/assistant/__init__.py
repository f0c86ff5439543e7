"""Questions in plain language, answered as the calling user, through the public API alone.

A question passes stages, one file each, and every stage can be read and tested by itself:

1. `normalise`: one spelling for what means the same.
2. `literals`: numbers and amounts as integers, and quoted names.
3. `intent`: which kind of question it is, by its words: a typed `query`.
4. `coverage`: whether the query accounts for every word; else the question is not understood.
5. `entities`: which item is meant, by id or by name in the catalogue; asks back if several fit.
6. `calls`: the query's calls to the inventory, with the caller's own token.
7. `rendering`: text, rows, and the query as it was understood.

`errors` has the reasons why a question has no answer. If a question is not understood, the answer
says so, with examples. Nothing is guessed: there is no model and no memory, and the gateway is the
only network peer. Money and quantities are integers throughout.

Caveats: English only. Costs are not recorded in the inventory, so there is no profit to tell, only
revenue. A forecast takes the sales of the last seven days as the rate, or of the last thirty days
if nothing was sold in the last seven.
"""

import service.quiet  # noqa: F401 - before anything imports gRPC
