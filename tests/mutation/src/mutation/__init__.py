"""Systematic mutation: each small change of a module's code, and whether its tests notice it.

`tests/mutants` plants bugs that somebody thought of. This package makes the changes that nobody
thought of. It applies the operators of mutmut, and two of its own, to each expression of a module.

- `targets` reads `targets.toml`: which module is judged by which tests.
- `edits` makes the changes of one module, as text.
- `trials` runs the tests on each change, in forked processes. What a target caches is forgotten
  before each test, so that each test reaches all that it depends on.
- `ledger` keeps what was found in `.mutation/`, and joins it with `equivalent.toml`.
- `branches` measures which branches no test takes, and compares them with `untaken.toml`.

Caveats. What is raised is not changed: tests look at the class of an exception, and the sentence of
an exception is prose. Annotations, decorators and docstrings are not changed either. A verdict on a
function is kept until the function, or a file of the target's tests, changes. A change of what the
function calls is not noticed: `FRESH=1` runs everything again. A trial that exceeds its time counts
as killed.
"""
