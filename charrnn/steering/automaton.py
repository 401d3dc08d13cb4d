"""The texts that match a regular expression, as a table: state x symbol -> next state.

Legend of shapes:
    S states, the first is that of an empty text   V symbols   C kinds of symbols, equal in all states
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charrnn.core.errors import InputError
from charrnn.steering.pattern import TOO_SLOW, Class, Positions, bits, matching, positions_of
from charrnn.steering.utf8 import as_bytes

MOST_CELLS = 1 << 23
"""Limit of S x V: 32 MiB; a server keeps several tables."""

MOST_STEPS = 3_000_000
"""Limit of the steps to build an automaton: about two seconds."""

MOST_LOOKUPS = 10_000_000
"""Limit of different classes of a pattern x V: some two seconds."""

NEVER, ENDS = -1, -2
"""In a table: a symbol after which nothing matches any more, and one that ends the text before it."""

FAR = np.int32(2**31 - 1)
"""Distance from which no match can be reached."""

Ints = NDArray[np.int32]


@dataclass(frozen=True, eq=False, slots=True)
class Automaton:
    """All texts that match."""

    table: Ints
    """Next state, NEVER or ENDS, (S, V)."""
    distances: Ints
    """Smallest number of symbols to a match, by state, (S + 2,); at ENDS 0, at NEVER FAR."""
    least: Ints
    """Smallest number of symbols to a longer text that matches, by state, (S + 2,); FAR if none does."""


@dataclass(frozen=True, slots=True)
class Alphabet:
    """The symbols that a text may have."""

    characters: str
    """One for each symbol; empty for bytes."""
    is_allowed: NDArray[np.bool_]
    """Whether a text may have it, (V,)."""
    separator: int | None = None
    """The symbol that ends a text, and is not part of it; None: any that leaves the pattern does."""


def automaton_of(pattern: str, alphabet: Alphabet, *, is_backward: bool = False) -> Automaton:
    """Return the automaton of a regular expression.

    Args:
        pattern: As in Python's `re`.
        alphabet: The symbols.
        is_backward: Read texts from their end.

    Raises:
        InputError: It is not a regular expression, not regular, too large, or matches no text.
    """
    positions = positions_of(pattern)
    positions = positions if alphabet.characters else as_bytes(positions)
    kinds = Kinds(positions, alphabet)
    steps, accepts = determined(positions.turned_round() if is_backward else positions, kinds)
    distances = distances_to(accepts, steps)
    if distances[0] == FAR or not (distances[steps[0]] < FAR).any():
        only = "only the empty text" if accepts[0] else "no text of the model's characters"
        raise InputError(f"--match: {only} matches")
    return completed(steps, accepts, distances, kinds.of_symbols, alphabet)


class Kinds:
    """Symbols that all classes of a pattern have in common are one kind.

    Args:
        positions: The pattern.
        alphabet: The symbols.
    """

    def __init__(self, positions: Positions, alphabet: Alphabet) -> None:
        at: dict[Class, int] = {}
        for position, each in enumerate(positions.classes):
            at[each] = at.get(each, 0) | 1 << position
        members = [each[alphabet.is_allowed[each]] for each in symbols_of(tuple(at), alphabet)]
        kinds = np.zeros(len(alphabet.is_allowed), dtype=np.int64)
        for count, symbols in enumerate(members, start=1):
            _, parts = np.unique(kinds[symbols], return_inverse=True)
            kinds[symbols] = count * len(kinds) + parts
        _, self.of_symbols = np.unique(kinds, return_inverse=True)
        """Kind of each symbol, (V,)."""
        self.positions = [0] * (int(self.of_symbols.max()) + 1)
        """Positions that accept a symbol of each kind, (C,)."""
        for where, symbols in zip(at.values(), members, strict=True):
            for kind in np.unique(self.of_symbols[symbols]).tolist():
                self.positions[kind] |= where


def symbols_of(classes: Sequence[Class], alphabet: Alphabet) -> list[NDArray[np.int64]]:
    """Return the symbols that each class has.

    Raises:
        InputError: There are too many classes.
    """
    if not alphabet.characters:
        return [np.array(list(each)).astype(np.int64) for each in classes]
    if len(classes) * len(alphabet.characters) > MOST_LOOKUPS:
        raise InputError(
            f"--match: {len(classes):,} different characters and classes are too many for "
            f"{len(alphabet.characters):,} characters of the model; write a simpler pattern"
        )
    none = np.zeros(0, dtype=np.int64)
    return [
        np.concatenate([none, *(np.arange(*span) for span in spans)])
        for spans in matching(alphabet.characters, classes)
    ]


def determined(positions: Positions, kinds: Kinds) -> tuple[Ints, NDArray[np.bool_]]:
    """Return next states by kind, (S, C), and which states accept, (S,).

    A state is the set of positions that may come next, and whether the text matches already.
    """
    whole = positions.whole
    states: dict[tuple[int, bool], int] = {(whole.first, whole.is_empty): 0}
    known: dict[int, int] = {0: NEVER}
    """State after each set of positions of the last symbol."""
    order, rows, num_steps = list(states), [], 0
    most = MOST_CELLS // len(kinds.of_symbols)
    for following, _ in order:
        row = [following & of_kind for of_kind in kinds.positions]
        num_steps += len(row)
        for reached in row:
            if reached not in known:
                state = followed(reached, positions.follow), bool(reached & whole.last)
                num_steps += reached.bit_count() + 1
                if state not in states:
                    states[state] = len(order)
                    order.append(state)
                known[reached] = states[state]
        rows.append([known[reached] for reached in row])
        check_size(len(order), most, num_steps)
    return np.array(rows, dtype=np.int32), np.array([accepts for _, accepts in order])


def followed(reached: int, follow: Sequence[int]) -> int:
    """Return the positions that may come after a set of positions."""
    following = 0
    for position in bits(reached):
        following |= follow[position]
    return following


def check_size(num_states: int, most: int, num_steps: int) -> None:
    """Refuse an automaton that is too large.

    Raises:
        InputError: It is.
    """
    if num_states > most:
        raise InputError(
            f"--match: its automaton has more than {most:,} states, the most for this number of "
            "characters; write a simpler pattern, or lower counts"
        )
    if num_steps > MOST_STEPS:
        raise InputError(TOO_SLOW)


def distances_to(accepts: NDArray[np.bool_], steps: Ints) -> Ints:
    """Return the smallest number of symbols from each state to one that accepts, (S + 2,)."""
    before: list[set[int]] = [set() for _ in accepts]
    for state, row in enumerate(steps.tolist()):
        for following in set(row) - {NEVER}:
            before[following].add(state)
    distances = np.full(len(accepts) + 2, FAR, dtype=np.int32)
    distances[ENDS] = 0
    reached, distance = set(np.flatnonzero(accepts).tolist()), 0
    while reached:
        distances[list(reached)] = distance
        reached = {s for state in reached for s in before[state] if distances[s] == FAR}
        distance += 1
    return distances


def completed(
    steps: Ints, accepts: NDArray[np.bool_], distances: Ints, kinds: NDArray[np.int64],
    alphabet: Alphabet,
) -> Automaton:  # fmt: skip
    """Return the automaton by symbol, without states from which no match is reached."""
    is_alive = distances[:-2] < FAR
    names = np.full(len(distances), NEVER, dtype=np.int32)
    names[:-2][is_alive] = np.arange(is_alive.sum())
    steps, accepts = names[steps][is_alive], accepts[is_alive]
    distances = np.append(distances[:-2][is_alive], [0, FAR]).astype(np.int32)
    nearest = distances[steps].min(axis=1)
    table = steps[:, kinds]
    is_end = (table == NEVER) & accepts[:, None]
    if alphabet.separator is not None:
        is_end &= np.arange(table.shape[1]) == alphabet.separator
    table[is_end] = ENDS
    least = np.append(np.where(nearest == FAR, FAR, nearest + 1), [FAR, FAR]).astype(np.int32)
    return Automaton(np.ascontiguousarray(table), distances, least)
