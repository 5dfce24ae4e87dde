"""Which contig goes into which split: every contig into exactly one, or left out by name.

Three ways, which may be mixed: the source says so (a sheet's column), patterns of names, or by
fractions of what neither names, drawn by a hash that is the same on every machine and stays when
contigs are added. Whole contigs or whole assemblies only: neighbours never part.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Literal

from glm_composer.conversion.randomness import stable_hash
from glm_composer.errors import UserError

REST = "*"
# Patterns of contigs, or a fraction of those that nothing else names.
Share = Sequence[str] | float


def assign_splits(
    contigs: Sequence[tuple[str, str]],
    splits: Mapping[str, Share],
    exclude: Sequence[str] = (),
    *,
    given: Mapping[str, str] | None = None,
    unit: Literal["contig", "assembly"] = "contig",
    seed: int = 0,
) -> list[str | None]:
    """Return the split of each (assembly, contig), None for those left out.

    Patterns are shell-like (`chr1[0-4]`) and match a contig's name or `assembly/name`. The pattern
    `"*"` alone stands for the contigs that nothing else names.

    Args:
        contigs: names.
        splits: split -> patterns, or a fraction; fractions add up to 1.
        exclude: patterns of contigs that go into no split.
        given: assembly -> split, where the source says so.
        unit: what a fraction counts and what is drawn as a whole.
        seed: of the draw.

    Raises:
        UserError: a pattern matches nothing, a contig matches two splits or none, fractions that
            do not add up, or beside `"*"`.
    """
    patterns: dict[str | None, Sequence[str]] = {
        split: share for split, share in splits.items() if not isinstance(share, float | int)
    }
    fractions = {
        split: float(share) for split, share in splits.items() if isinstance(share, float | int)
    }
    claims = _claims(contigs, {**patterns, None: exclude})
    for index, (assembly, _) in enumerate(contigs):
        split = (given or {}).get(assembly)
        if split is not None and None not in claims[index]:
            claims[index].add(split)
    _check_claims(contigs, claims)
    rest = _check_rest({**patterns, None: exclude}, fractions)
    assigned: list[str | None] = []
    for contig, claim in zip(contigs, claims, strict=True):
        if claim:
            assigned.append(next(iter(claim)))
        elif fractions:
            drawn = stable_hash(seed, "split", *(contig if unit == "contig" else contig[:1]))
            assigned.append(_draw(fractions, drawn / (1 << 64)))
        elif rest:
            assigned.append(rest[0])
        else:
            raise UserError(
                f"contig '{'/'.join(contig)}' is in no split; name it in 'splits' or 'exclude', "
                f"or use '{REST}' for the rest"
            )
    return assigned


def match_contigs(
    contigs: Sequence[tuple[str, str]], patterns: Sequence[str], key: str
) -> set[int]:
    """Return the indices of the contigs that match any pattern; `key` names it in errors."""
    found: set[int] = set()
    for pattern in patterns:
        hits = {i for i, contig in enumerate(contigs) if _matches(contig, pattern)}
        if not hits:
            raise UserError(f"'{key}': '{pattern}' matches no contig of {_some(contigs)}")
        found |= hits
    return found


def _claims(
    contigs: Sequence[tuple[str, str]], groups: Mapping[str | None, Sequence[str]]
) -> list[set[str | None]]:
    claims: list[set[str | None]] = [set() for _ in contigs]
    for split, patterns in groups.items():
        for pattern in patterns:
            if pattern == REST:
                continue
            hits = [i for i, contig in enumerate(contigs) if _matches(contig, pattern)]
            if not hits:
                raise UserError(
                    f"{_key(split)}: '{pattern}' matches no contig of {_some(contigs)}"
                )
            for hit in hits:
                claims[hit].add(split)
    return claims


def _check_claims(contigs: Sequence[tuple[str, str]], claims: Sequence[set[str | None]]) -> None:
    for contig, claim in zip(contigs, claims, strict=True):
        if len(claim) > 1:
            names = " and ".join(sorted(map(_key, claim)))
            raise UserError(f"contig '{'/'.join(contig)}' matches {names}; it may be in one only")


def _check_rest(
    groups: Mapping[str | None, Sequence[str]], fractions: Mapping[str, float]
) -> list[str | None]:
    rest = [split for split, patterns in groups.items() if REST in patterns]
    if len(rest) > 1:
        raise UserError(
            f"'{REST}' stands in {' and '.join(map(_key, rest))}; only one takes the rest"
        )
    if rest and fractions:
        raise UserError(
            f"'{REST}' in {_key(rest[0])} and a fraction in {_key(next(iter(fractions)))} both "
            "take the rest; keep one"
        )
    if fractions and (min(fractions.values()) <= 0 or abs(sum(fractions.values()) - 1) > 1e-9):
        given = ", ".join(f"{split}: {share:g}" for split, share in fractions.items())
        raise UserError(f"'splits': fractions must be above 0 and add up to 1, not {given}")
    return rest


def _draw(fractions: Mapping[str, float], uniform: float) -> str:
    reach = 0.0
    for split, share in fractions.items():
        reach += share
        if uniform < reach:
            return split
    return split


def _matches(contig: tuple[str, str], pattern: str) -> bool:
    return fnmatchcase(contig[1], pattern) or fnmatchcase("/".join(contig), pattern)


def _key(split: str | None) -> str:
    return "'exclude'" if split is None else f"'splits.{split}'"


def _some(contigs: Sequence[tuple[str, str]]) -> str:
    shown = [name for _, name in contigs[:20]]
    return ", ".join(shown) + (", ..." if len(contigs) > len(shown) else "")
