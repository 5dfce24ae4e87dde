"""Composer comes without transformers, scipy and matplotlib, and they can be had afterwards."""

import importlib
import subprocess
import sys

import pytest
from lightning_utilities.core.imports import RequirementCache

from glm_composer.training.composer_import import _hidden

SCRIPT = """
import sys
from glm_composer.training.composer_import import import_composer
import_composer()
import glm_composer.training.run
heavy = {"transformers", "scipy", "matplotlib", "sklearn", "pandas"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
import matplotlib.pyplot, scipy.stats, transformers
from composer.loggers import TensorboardLogger, WandBLogger
from torchmetrics import MeanMetric
print(transformers.BertConfig().model_type, float(MeanMetric()(3.0)))
"""


def test_what_is_hidden_is_neither_found_nor_installed_until_the_end():
    assert "ruff" not in sys.modules
    with _hidden(["ruff"]):
        with pytest.raises(ImportError):
            importlib.import_module("ruff")
        assert not RequirementCache("ruff>=0.0.1")
        assert RequirementCache("pytest>=1")
    assert RequirementCache("ruff>=0.0.1")
    assert importlib.import_module("ruff")


@pytest.mark.slow
def test_a_run_imports_none_of_them_and_they_still_work_later():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["bert", "3.0"]
