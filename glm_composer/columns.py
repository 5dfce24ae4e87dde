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
    cells = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        aligned = (
            cell.ljust(width) if column < words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join(aligned).rstrip())
