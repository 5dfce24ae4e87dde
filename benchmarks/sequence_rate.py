"""How fast bases become ids and back, on one core: make bench-sequence."""

import numpy as np
from measure import interleave, result

from glm_composer import sequence

BASES = 32_000_000


def main() -> None:
    letters = np.frombuffer(b"ACGTacgtNnRyAACCGGTT", dtype=np.uint8)
    sequences = letters[np.random.default_rng(0).integers(0, len(letters), BASES)]
    ids, soft_masked = sequence.encode(sequences), sequence.is_soft_masked(sequences)
    candidates = {
        "encode": lambda: sequence.encode(sequences),
        "decode": lambda: sequence.decode(ids),
        "decode_case": lambda: sequence.decode(ids, soft_masked),
        "soft_mask": lambda: sequence.is_soft_masked(sequences),
        "reverse_complement": lambda: sequence.reverse_complement(sequences),
        "reverse_complement_ids": lambda: sequence.reverse_complement_ids(ids),
    }
    for name, seconds in interleave(candidates, rounds=7).items():
        result(f"sequence.{name}", seconds, BASES / 1e6, "Mbp/s")


if __name__ == "__main__":
    main()
