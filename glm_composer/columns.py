"""Tables as aligned columns of plain text, as wide as they have to be."""

from collections.abc import Sequence


def print_columns(header: Sequence[str], rows: Sequence[Sequence[str]], *, words: int) -> None:
    """Print a table.

    Args:
        header: names of the columns, with units.
        rows: cells.
        words: how many columns from the left hold words; the others are numbers, to the right.
    """
    # Not cut to the width of the terminal: figures that end in dots are none.
    columns = []
    for place, column in enumerate(zip(header, *rows, strict=True)):
        width, aligned = max(map(len, column)), str.ljust if place < words else str.rjust
        columns.append([aligned(cell, width) for cell in column])
    print("\n".join("  ".join(row).rstrip() for row in zip(*columns, strict=True)))
