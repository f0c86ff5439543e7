"""Questions in plain language, answered as the calling user, through the public API alone.

A question passes stages, one file each, and every stage can be read and tested by itself:

1. `normalise`: one spelling for what means the same.
2. `literals`: numbers, amounts and quoted names, as integers and text.
3. `intent`: which kind of question it is, by its words: a typed `query`.
4. `coverage`: whether every word of the question is in the query; else it is not understood.
5. `entities`: which item is meant, by id or by name in the catalogue; asks back if several could.
6. `calls`: the query's calls to the inventory, with the caller's own token.
7. `rendering`: text, rows, and the query as it was understood.

`errors` has the reasons why a question has no answer. What is not understood is said, with
examples. Nothing is guessed: no model, no memory, no network
but the gateway. Money and quantities are integers throughout.

Caveats: English only. Costs are not recorded in the inventory, so there is no profit to tell, only
revenue. A forecast takes the last seven days' sales as the rate, or the last thirty where those
seven had none.
"""
