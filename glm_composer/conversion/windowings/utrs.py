"""Untranslated regions: exons of coding transcripts, less all coding sequence; over `regions`."""

from collections.abc import Sequence
from dataclasses import dataclass

from glm_composer.conversion import features
from glm_composer.conversion.windowings import Windowing
from glm_composer.conversion.windowings.regions import Regions, cut_regions
from glm_composer.registry import windowings


@dataclass(frozen=True, kw_only=True)
class Utrs(Regions):
    """Settings of `utrs`: those of all regions.

    `flank` widens the exons before coding sequence is taken out, so it reaches into introns and
    beyond the transcript, never into coding sequence; `minimum` then drops the slivers.
    """

    name: str = "utrs"


@windowings.register("utrs")
def utrs(settings: Utrs, splits: Sequence[str]) -> Windowing:
    """Return a windowing that cuts windows over untranslated regions."""
    return cut_regions(
        settings,
        lambda transcripts: features.exons(features.coding(transcripts)),
        less=features.cds,
    )
