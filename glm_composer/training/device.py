"""What this process computes on, and whether a run's settings suit it."""

import os
import shutil

import torch

from glm_composer.config import Config
from glm_composer.errors import UserError
from glm_composer.training.peak import matmul_peak


def device_type() -> str:
    """Where this process computes: `gpu` or `cpu`, in Composer's words."""
    return "gpu" if torch.cuda.is_available() else "cpu"


def share_cores(local_ranks: int) -> None:
    """Give this process its part of a CPU's cores; the ranks of a machine share them.

    Whoever has set OMP_NUM_THREADS, as sweeps do for their trials, has dealt them out.
    """
    if device_type() == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // local_ranks))


def check_machine(config: Config) -> None:
    """Check that this machine can do what a run asks for.

    Raises:
        UserError: it has no GPU, or no compiler, that is needed.
    """
    if device_type() == "gpu":
        return
    if config.device_train_microbatch_size == "auto":
        raise UserError(
            "device_train_microbatch_size=auto needs a GPU: a CPU does not say that memory is "
            "short before it is gone; give a number of windows, or null for all at once"
        )
    if config.compile and not has_compiler():
        raise UserError(
            "compile=true needs a C++ compiler (g++); install one or set compile=false"
        )


def has_compiler() -> bool:
    """Whether there is the C++ compiler that torch.compile needs on a CPU."""
    compilers = (os.environ.get("CXX"), "g++", "clang++")
    return any(name and shutil.which(name) for name in compilers)


def peak(config: Config) -> float:
    """FLOP/s that this device reaches at best in a run's precision, measured."""
    dtype = torch.float32 if config.precision == "fp32" else torch.bfloat16
    return matmul_peak("cuda" if device_type() == "gpu" else "cpu", dtype)
