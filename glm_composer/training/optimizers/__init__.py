"""Optimizers by name: each is one file, and `groups.py` says which parameters decay."""
