"""Ready: the windows are the source's own (`hub`, `windows`), and only their length is asked."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import PositiveInt

from glm_composer.conversion.annotation import Transcript
from glm_composer.conversion.assembly import Contig
from glm_composer.conversion.windowings import Cut, Windowing
from glm_composer.errors import UserError
from glm_composer.registry import windowings


@dataclass(frozen=True, kw_only=True)
class Ready:
    """Settings of `ready`.

    Attributes:
        length: bases that every window of the source must have, or may have with `varying`.
        varying: windows may be shorter, and keep their lengths.
    """

    name: str = "ready"
    length: PositiveInt = 512
    varying: bool = False


@windowings.register("ready")
def ready(settings: Ready, splits: Sequence[str]) -> Windowing:
    """Return a windowing that refuses contigs: they would have to be cut."""

    def cut(contig: Contig, transcripts: Sequence[Transcript], split: str) -> Cut:
        raise UserError(
            f"'windows.name' is 'ready', but the source gives contigs ('{contig.name}'); choose "
            "tiles, promoters or another windowing"
        )

    return cut
