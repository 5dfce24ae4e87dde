"""What output says about itself: of which model and genome it is, and how it was asked."""

from glm_composer import __version__
from glm_composer.genome import Genome
from glm_composer.serving.model import ServedModel
from glm_composer.serving.plan import digest_file


def provenance(model: ServedModel, genome: Genome, **how: object) -> dict[str, str]:
    """Return a file's metadata, `glm_composer.KEY` -> value; reads the genome through once.

    Args:
        model: by its digest, its settings, its window and its name.
        genome: by the digest of its file, and the file's name.
        how: further keys, as text.
    """
    said = {
        "version": __version__,
        "model": model.digest,
        "model_name": model.name,
        "network": model.settings,
        "genome": digest_file(genome.path),
        "genome_file": genome.path.name,
        "window": model.window,
        **how,
    }
    return {f"glm_composer.{key}": str(value) for key, value in said.items()}
