"""Majorities of the voters, as arithmetic."""

from collections.abc import Iterable, Mapping


def size(voters: frozenset[int]) -> int:
    """Return the number of voters in a majority."""
    return len(voters) // 2 + 1


def reached(voters: frozenset[int], agreeing: Iterable[int]) -> bool:
    """Tell whether the agreeing members hold a majority; a member without a vote does not count."""
    return len(voters.intersection(agreeing)) >= size(voters)


def lost(voters: frozenset[int], refusing: Iterable[int]) -> bool:
    """Tell whether the refusing voters are so many that no majority can agree any more."""
    return len(voters.intersection(refusing)) > len(voters) - size(voters)


def held_index(voters: frozenset[int], held: Mapping[int, int]) -> int:
    """Return the highest index that a majority holds (Raft §5.3); a missing voter holds index 0."""
    indexes = sorted([held.get(voter, 0) for voter in voters], reverse=True)
    return indexes[size(voters) - 1]
