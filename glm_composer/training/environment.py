"""Where and with what a run computes: code, packages, machine, what a batch system has set."""

import os
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from glm_composer import __version__
from glm_composer.runs.folder import CHANGES, now
from glm_composer.runs.process import this_host

# What decides where ranks, devices and threads are; and what of it is nobody's business.
_TELLING = re.compile(
    r"(SLURM|LOCAL|OMP|MKL|NCCL|GLOO|TORCH|CUDA|CUBLAS)_|(RANK|WORLD_SIZE|NODE_RANK|MASTER_ADDR)$"
)
_SECRET = re.compile("JWT|TOKEN|KEY|SECRET|PASS")


def environment(seed: int, parameters: int, patch: str | None) -> dict[str, Any]:
    """Return what `environment.json` says.

    Args:
        seed: of the run.
        parameters: how many the model has.
        patch: what `changes` returns.
    """
    import torch

    return {
        "started": now(),
        "command": sys.argv,
        "seed": seed,
        "glm_composer": __version__,
        "git_commit": _git("rev-parse", "HEAD"),
        "git_changed_files": (_git("status", "--porcelain") or "").splitlines(),
        "git_diff": CHANGES if patch else None,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": this_host(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "parameters": parameters,
        "ranks": int(os.environ.get("WORLD_SIZE", "1")),
        "variables": variables(),
        "packages": {
            each.metadata["Name"]: each.version
            for each in sorted(metadata.distributions(), key=lambda d: d.metadata["Name"].lower())
        },
    }


def variables() -> dict[str, str]:
    """Return the environment variables that tell of ranks, devices, threads and the job."""
    return {
        name: value
        for name, value in sorted(os.environ.items())
        if _TELLING.match(name) and not _SECRET.search(name)
    }


def changes() -> str | None:
    """Return what differs in the source tree from its commit, as a patch; None if nothing does.

    Files that git does not know are not in it; `git_changed_files` names them.
    """
    found = _git("diff", "--no-ext-diff", "--no-color", "HEAD", strip=False)
    return found or None


def _git(*arguments: str, strip: bool = True) -> str | None:
    """What git says of the source tree this package runs from; None if it is not one."""
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    # Not at the beginning: a line of `git status` may start with a blank.
    return done.stdout.rstrip() if strip else done.stdout
