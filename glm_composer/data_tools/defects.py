"""What is wrong with a dataset, collected rather than raised: one line each, the worst first."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Defect:
    """One thing that is wrong.

    Attributes:
        where: path below the dataset, with a row or key where there is one.
        what: what was found, and what should have been.
        windows: how many windows it makes worthless or doubtful; 0 where only a record is wrong.
    """

    where: str
    what: str
    windows: int = 0

    def __str__(self) -> str:
        touched = f" ({self.windows:,} windows)" if self.windows else ""
        return f"{self.where}: {self.what}{touched}"


@dataclass
class Findings:
    """Defects as they are found, and how much was looked at.

    Attributes:
        defects: in the order they were found.
        shards: shards listed.
        bytes: bytes read.
        hashed: files whose hashes were there to be checked.
        compared: windows compared with the genome beside them.
        windows: windows looked at.
    """

    defects: list[Defect] = field(default_factory=list)
    shards: int = 0
    bytes: int = 0
    hashed: int = 0
    compared: int = 0
    windows: int = 0

    def add(self, where: str, what: str, windows: int = 0) -> None:
        """Note a defect."""
        self.defects.append(Defect(where=where, what=what, windows=windows))

    @property
    def worst(self) -> Defect | None:
        """The defect that touches most windows, the first of equals."""
        return max(self.defects, key=lambda defect: defect.windows, default=None)
