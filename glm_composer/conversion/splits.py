"""Which contig goes into which split: every contig into exactly one, or left out by name."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from glm_composer.errors import UserError

REST = "*"


def assign_splits(
    contigs: Sequence[tuple[str, str]],
    splits: Mapping[str, Sequence[str]],
    exclude: Sequence[str] = (),
) -> list[str | None]:
    """Return the split of each (assembly, contig), None for those left out.

    Patterns are shell-like (`chr1[0-4]`) and match a contig's name or `assembly/name`. The pattern
    `"*"` alone stands for the contigs that no other pattern matches.

    Raises:
        UserError: a pattern matches nothing, a contig matches two splits or none.
    """
    groups: list[tuple[str | None, Sequence[str]]] = [*splits.items(), (None, exclude)]
    claims: list[set[str | None]] = [set() for _ in contigs]
    for split, patterns in groups:
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
    rest = [split for split, patterns in groups if REST in patterns]
    if len(rest) > 1:
        raise UserError(
            f"'{REST}' stands in {' and '.join(map(_key, rest))}; only one takes the rest"
        )
    for contig, claim in zip(contigs, claims, strict=True):
        if len(claim) > 1:
            names = " and ".join(sorted(map(_key, claim)))
            raise UserError(f"contig '{'/'.join(contig)}' matches {names}; it may be in one only")
        if not claim and not rest:
            raise UserError(
                f"contig '{'/'.join(contig)}' is in no split; name it in 'splits' or 'exclude', "
                f"or use '{REST}' for the rest"
            )
    return [next(iter(claim)) if claim else rest[0] for claim in claims]


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


def _matches(contig: tuple[str, str], pattern: str) -> bool:
    return fnmatchcase(contig[1], pattern) or fnmatchcase("/".join(contig), pattern)


def _key(split: str | None) -> str:
    return "'exclude'" if split is None else f"'splits.{split}'"


def _some(contigs: Sequence[tuple[str, str]]) -> str:
    shown = [name for _, name in contigs[:20]]
    return ", ".join(shown) + (", ..." if len(contigs) > len(shown) else "")
