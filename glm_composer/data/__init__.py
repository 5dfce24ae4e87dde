"""MDS shards -> batches: order, resumption, reverse complement, corruption."""
