"""Trained models at work: loading them, and the verbs that score and describe sequences."""
