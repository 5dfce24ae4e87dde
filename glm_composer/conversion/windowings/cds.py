"""Coding sequence, stop codons included: windows over `regions`."""

from collections.abc import Sequence
from dataclasses import dataclass

from glm_composer.conversion import features
from glm_composer.conversion.windowings import Windowing
from glm_composer.conversion.windowings.regions import Regions, cut_regions
from glm_composer.registry import windowings


@dataclass(frozen=True, kw_only=True)
class Cds(Regions):
    """Settings of `cds`: those of all regions."""

    name: str = "cds"


@windowings.register("cds")
def cds(settings: Cds, splits: Sequence[str]) -> Windowing:
    """Return a windowing that cuts windows over coding segments."""
    return cut_regions(settings, features.cds)
