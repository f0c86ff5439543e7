"""Majorities, as arithmetic."""

from collections.abc import Iterable, Mapping


def size(voters: frozenset[int]) -> int:
    """Return how many voters are a majority."""
    return len(voters) // 2 + 1


def reached(voters: frozenset[int], agreeing: Iterable[int]) -> bool:
    """Tell whether those who agree hold a majority; others than voters do not count."""
    return len(voters.intersection(agreeing)) >= size(voters)


def lost(voters: frozenset[int], refusing: Iterable[int]) -> bool:
    """Tell whether so many refuse that no majority can be reached any more."""
    return len(voters.intersection(refusing)) > len(voters) - size(voters)


def held_index(voters: frozenset[int], held: Mapping[int, int]) -> int:
    """Return the highest index that a majority holds (Raft §5.3); a missing voter holds none."""
    indexes = sorted([held.get(voter, 0) for voter in voters], reverse=True)
    return indexes[size(voters) - 1]
