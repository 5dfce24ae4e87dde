"""Where files are kept that several runs and projects share."""

import os
from pathlib import Path


def cache_directory() -> Path:
    """Return `$GLM_CACHE`, or ~/.cache/glm_composer."""
    return Path(os.environ.get("GLM_CACHE") or "~/.cache/glm_composer").expanduser()
