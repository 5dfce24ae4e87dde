"""What a scoring is: everything that its numbers depend on, so that it goes on as begun."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from glm_composer import __version__
from glm_composer.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A scoring's model, genome, table and settings, as text and figures.

    How fast it is done (batch size, compilation, device, processes) is no part of it.

    Attributes:
        model: digest of the weights.
        network: settings of the network, as JSON.
        genome: digest of the FASTA.
        variants: digest of the table.
        contigs: digest of the file of contigs' names; "" where none is given.
        scores: their names.
        window: bases around each variant.
        strands: `both` or `forward`.
        precision: `fp32` or `bf16`.
        allow_mismatch: whether rows that do not fit the genome are marked, not refused.
        chunk_rows: rows a part.
        version: of glm_composer.
    """

    model: str
    network: str
    genome: str
    variants: str
    contigs: str
    scores: list[str]
    window: int
    strands: Literal["both", "forward"]
    precision: str
    allow_mismatch: bool
    chunk_rows: int
    version: str = __version__

    def dump(self) -> str:
        """As JSON text that `check_same` reads."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @property
    def tag(self) -> str:
        """12 hex digits that tell this plan from others in files' names."""
        return hashlib.sha256(self.dump().encode()).hexdigest()[:12]

    def metadata(self) -> dict[str, str]:
        """Key-value pairs for an output: `glm_composer.KEY`, without empty ones."""
        values = {key: value for key, value in dataclasses.asdict(self).items() if value != ""}
        return {
            f"glm_composer.{key}": value if isinstance(value, str) else json.dumps(value)
            for key, value in values.items()
        }

    def check_same(self, before: str, where: Path) -> None:
        """Check that a scoring that was begun is this one.

        Args:
            before: what `dump` returned then.
            where: its finished parts lie.

        Raises:
            UserError: it is another; the first difference is named with both values.
        """
        now = dataclasses.asdict(self)
        try:
            then = dict(json.loads(before))
        except (ValueError, TypeError):
            then = {}
        for key, value in now.items():
            if then.get(key) != value:
                raise UserError(
                    f"{where}: unfinished scores of another {key}: begun with "
                    f"{_shown(then.get(key))}, now {_shown(value)}; run that to its end, choose "
                    "another output, or give --overwrite to leave them"
                )


def digest_file(path: str | Path) -> str:
    """`sha256:HEX` of a file's bytes.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)
