"""Genome + annotation -> windows -> MDS shards and a manifest; `convert` is the whole of it."""
