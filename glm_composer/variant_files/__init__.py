"""Variants in files: read in pieces, checked row by row, written back with scores. No torch."""
