"""Promoters: the recipe of GPN-Animal-Promoter (songlab-cal/gpn, analysis/gpn_animal_promoter).

[TSS - upstream, TSS + downstream) of every transcript, along its strand, cut as `regions` says.
With `move_edges: false` the windows are GPN's (its intervals "v6") to the base.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import NonNegativeInt

from glm_composer.conversion import features
from glm_composer.conversion.windowings import Windowing
from glm_composer.conversion.windowings.regions import Regions, cut_regions
from glm_composer.registry import windowings


@dataclass(frozen=True, kw_only=True)
class Promoters(Regions):
    """Settings of `promoters`, beside those of all regions.

    Attributes:
        upstream: bases before the transcription start site (TSS).
        downstream: bases from the TSS on, the TSS itself included.
        coding_only: take protein-coding transcripts only.
    """

    name: str = "promoters"
    upstream: NonNegativeInt = 256
    downstream: NonNegativeInt = 256
    coding_only: bool = True

    def __post_init__(self) -> None:
        if self.upstream + self.downstream == 0:
            raise ValueError("'upstream' and 'downstream' are both 0; a promoter needs a width")


@windowings.register("promoters")
def promoters(settings: Promoters, splits: Sequence[str]) -> Windowing:
    """Return a windowing that cuts promoter windows and lower-cases what lies around them."""
    return cut_regions(
        settings,
        lambda transcripts: features.promoters(
            features.coding(transcripts, settings.coding_only),
            settings.upstream,
            settings.downstream,
        ),
    )
