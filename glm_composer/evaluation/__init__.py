"""Variants, scores, metrics and baselines; pure functions but for `predict`."""
