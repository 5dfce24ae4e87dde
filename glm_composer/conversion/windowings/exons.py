"""Exons, of coding and other transcripts alike: windows over `regions`."""

from collections.abc import Sequence
from dataclasses import dataclass

from glm_composer.conversion import features
from glm_composer.conversion.windowings import Windowing
from glm_composer.conversion.windowings.regions import Regions, cut_regions
from glm_composer.registry import windowings


@dataclass(frozen=True, kw_only=True)
class Exons(Regions):
    """Settings of `exons`, beside those of all regions.

    Attributes:
        coding_only: take exons of protein-coding transcripts only.
    """

    name: str = "exons"
    coding_only: bool = False


@windowings.register("exons")
def exons(settings: Exons, splits: Sequence[str]) -> Windowing:
    """Return a windowing that cuts windows over exons."""
    return cut_regions(
        settings, lambda ts: features.exons(features.coding(ts, settings.coding_only))
    )
