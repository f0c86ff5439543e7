"""The outline against a list of every position: its term, and the configuration there."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inventory_node.wal.outline import Outline
from raft.messages import Configuration, Entry, EntryKind, HardState, SnapshotMeta


def configuration(number: int) -> Configuration:
    """Return a configuration that no other number has."""
    return Configuration(frozenset({1, 10 + number}))


class Positions:
    """The term and the configuration of each position from the base on."""

    def __init__(self, base: int, term: int, members: Configuration) -> None:
        """Begin with the base."""
        self.base = base
        self.held = [(term, members)]

    @property
    def last(self) -> int:
        """Return the last position."""
        return self.base + len(self.held) - 1

    def agree(self, outline: Outline) -> None:
        """Hold an outline to each position, and to the two around them."""
        assert (outline.base_index, outline.last_index) == (self.base, self.last)
        assert (outline.last_term, outline.configuration) == self.held[-1]
        for index, (term, members) in enumerate(self.held, self.base):
            assert outline.term_at(index) == term
            assert outline.configuration_at(index) == members
        for index in (self.base - 1, self.last + 1):
            with pytest.raises(ValueError, match="is not within"):
                outline.term_at(index)
            with pytest.raises(ValueError, match="is not within"):
                outline.configuration_at(index)


def change(outline: Outline, model: Positions, draw: Random, number: int) -> Positions:
    """Change both in one way."""
    term, members = model.held[-1]
    match draw.choice(["add", "add", "add", "reset", "begin", "install", "forget"]):
        case "add":
            term += draw.choice([0, 0, 1])
            given = configuration(number) if draw.randrange(3) == 0 else None
            outline.append(Entry(model.last + 1, term, EntryKind.COMMAND, b""), given)
            model.held.append((term, given or members))
        case "reset":
            index = draw.randint(model.base, model.last)
            term, members = model.held[index - model.base]
            outline.reset((index, term), members)
            if index == model.base:
                return Positions(index, term, members)
            del model.held[index - model.base + 1 :]
        case "begin":
            index = draw.randint(max(0, model.base - 2), model.base)
            model = Positions(index, term + 1, configuration(number))
            outline.reset((index, term + 1), configuration(number))
        case "install":
            index = model.last + draw.randint(1, 3)
            meta = SnapshotMeta(index, term + 1, configuration(number))
            outline.install(meta)
            assert outline.installed == meta
            model = Positions(index, term + 1, configuration(number))
        case _:
            index = model.base + draw.randint(-1, 4)
            outline.compact(index)
            index = min(max(index, model.base), model.last)
            del model.held[: index - model.base]
            model.base = index
    return model


@given(st.integers(0, 2**32))
def test_every_position_keeps_its_term_and_configuration(seed: int) -> None:
    """Whatever is appended, replaced, installed and forgotten."""
    draw = Random(seed)
    base, term = draw.randint(0, 3), draw.randint(0, 9)
    outline = Outline((base, term), configuration(0), HardState(term, 0), None)
    model = Positions(base, term, configuration(0))
    for number in range(1, 40):
        model = change(outline, model, draw, number)
        model.agree(outline)


def small() -> Outline:
    """Return an outline of the base 2 and the entries 3 and 4."""
    outline = Outline((2, 1), configuration(0), HardState(1, 0), None)
    outline.append(Entry(3, 1, EntryKind.COMMAND, b""), None)
    outline.append(Entry(4, 2, EntryKind.COMMAND, b""), configuration(1))
    return outline


def test_what_cannot_follow_is_refused_and_changes_nothing() -> None:
    """A gap, an index again, a term that falls, an end that the log does not have."""
    outline = small()
    for index, term in ((4, 2), (6, 2), (5, 1)):
        with pytest.raises(ValueError, match=f"entry {index}"):
            outline.append(Entry(index, term, EntryKind.COMMAND, b""), configuration(2))
    for position, members, problem in (
        ((3, 2), configuration(0), "another term or configuration"),
        ((4, 2), configuration(0), "another term or configuration"),
        ((5, 2), configuration(1), "is not within"),
    ):
        with pytest.raises(ValueError, match=problem):
            outline.reset(position, members)
    model = Positions(2, 1, configuration(0))
    model.held += [(1, configuration(0)), (2, configuration(1))]
    model.agree(outline)
