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
    sides = ["<" if column < words else ">" for column in range(len(widths))]
    line = "  ".join(f"{{:{side}{width}}}" for side, width in zip(sides, widths, strict=True))
    print("\n".join(line.format(*row).rstrip() for row in cells))
