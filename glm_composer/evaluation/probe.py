"""TraitGym's linear probe: what a logistic regression reads from a model's embeddings.

Every chromosome is predicted by a regression that has seen the others only. What is fitted, by
TraitGym's `train_logistic_regression`: missing values filled with the column's mean, columns
standardised, classes balanced, C chosen from 10^-8 to 1 by the average precision in five folds of
whole chromosomes.
"""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glm_composer.errors import UserError
from glm_composer.evaluation.metrics.ranking import both_classes

if TYPE_CHECKING:
    from sklearn.model_selection import GridSearchCV

Floats = NDArray[np.float64]

FOLDS = 5
PENALTIES = np.logspace(-8, 0, 10)


def probe(
    embedding: ArrayLike,
    label: ArrayLike,
    chrom: ArrayLike,
    *,
    jobs: int = 1,
    advance: Callable[[int], None] = lambda done: None,
) -> Floats:
    """Predict each variant by the variants of all other chromosomes.

    Args:
        embedding: float [n, d]; NaN where a value is missing.
        label: 0/1 or bool [n].
        chrom: names [n].
        jobs: fits at a time, in threads; the result does not depend on it.
        advance: told of every chromosome that is done.

    Returns:
        Probability of being a positive, float64 [n].

    Raises:
        UserError: too few chromosomes, a fold that lacks a class, or infinite values.
    """
    from joblib import parallel_config
    from sklearn.exceptions import ConvergenceWarning

    x = np.asarray(embedding, dtype=np.float64)
    if x.ndim != 2:
        raise ValueError(f"expected embedding [n, d], not {x.shape}")
    infinite = np.isinf(x).any(axis=1)
    if infinite.any():
        raise UserError(
            f"embedding: row {np.argmax(infinite) + 1} has an infinite value ({infinite.sum()} of "
            f"{len(x)} rows); the model overflowed: embed in fp32"
        )
    labels, _ = both_classes(label, np.zeros(len(x)))
    names, group = np.unique(np.asarray(chrom).astype(str), return_inverse=True)
    _check_folds(labels, group, names)
    predicted = np.empty(len(x))
    with warnings.catch_warnings(), parallel_config("threading", n_jobs=jobs):
        # By definition the solver stops after 100 steps, converged or not.
        warnings.simplefilter("ignore", ConvergenceWarning)
        # A fold without positives scores every C alike, and so leaves the choice to the others.
        warnings.filterwarnings("ignore", "No positive class found", UserWarning)
        for held_out in range(len(names)):
            seen = group != held_out
            search = _search().fit(x[seen], labels[seen], groups=group[seen])
            predicted[~seen] = search.predict_proba(x[~seen])[:, 1]
            advance(1)
    return predicted


def _search() -> "GridSearchCV":
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, GroupKFold
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    steps = [
        ("fill", SimpleImputer(strategy="mean", keep_empty_features=True)),
        ("scale", StandardScaler()),
        ("regress", LogisticRegression(class_weight="balanced")),
    ]
    return GridSearchCV(
        Pipeline(steps),
        {"regress__C": PENALTIES},
        scoring="average_precision",
        cv=GroupKFold(FOLDS),
    )


def _check_folds(
    labels: NDArray[np.bool_], group: NDArray[np.intp], names: NDArray[np.str_]
) -> None:
    """Refuse what scikit-learn would fail at halfway through, or fit without a class."""
    from sklearn.model_selection import GroupKFold

    if len(names) <= FOLDS:
        raise UserError(
            f"chrom: {len(names)} chromosomes; the probe leaves one out and divides the others "
            f"into {FOLDS} folds, so that it needs at least {FOLDS + 1}"
        )
    for held_out, name in enumerate(names):
        seen = np.flatnonzero(group != held_out)
        for fitted, _ in GroupKFold(FOLDS).split(seen, groups=group[seen]):
            found = labels[seen[fitted]]
            if found.all() or not found.any():
                raise UserError(
                    f"chrom: with '{name}' left out, a fold of the others is fitted to "
                    f"{'positives' if found.all() else 'controls'} only; the probe needs both "
                    "classes on more chromosomes"
                )
