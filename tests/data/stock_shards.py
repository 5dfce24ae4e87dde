"""Datasets as the stock writer makes them and the stock reader reads them."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from streaming import MDSWriter
from streaming.base.format.mds import MDSReader

BASES = np.frombuffer(b"ACGTNacgtn", dtype=np.uint8)
ENCODINGS = ["bytes", "str", "ndarray:uint8", "ndarray:uint8:40"]


def sequence(rng, encoding, longest):
    fixed = encoding == "ndarray:uint8:40"
    # The stock writer refuses empty arrays.
    length = 40 if fixed else rng.integers(encoding == "ndarray:uint8", longest + 1)
    bases = BASES[rng.integers(0, len(BASES), length)]
    if encoding == "bytes":
        return bases.tobytes()
    return bases.tobytes().decode() if encoding == "str" else bases


def write(out, encoding, samples, per_shard, longest=300, seed=0, **settings):
    """Write `samples` rows with the stock writer, about `per_shard` a shard."""
    rng = np.random.default_rng(seed)
    columns = {"chrom": "str", "sequence": encoding, "start": "int", "strand": "int8"}
    if encoding.endswith("40"):
        del columns["chrom"]
    row = {"ndarray:uint8:40": 40}.get(encoding, longest // 2) + 40
    with MDSWriter(
        columns=columns, out=str(out), size_limit=400 + per_shard * row, **settings
    ) as w:
        for number in range(samples):
            values = {
                "chrom": "chr" + "X" * int(rng.integers(0, 5)),
                "sequence": sequence(rng, encoding, longest),
                "start": int(rng.integers(-(2**60), 2**60)),
                "strand": np.int8(number % 3 - 1),
            }
            w.write({name: values[name] for name in columns})
    return out


def stock_samples(path: Path) -> Iterator[dict]:
    """Every sample as the stock reader decodes it; raw shards must lie there."""
    for entry in json.loads((path / "index.json").read_text())["shards"]:
        reader = MDSReader.from_json(str(path), None, entry)
        yield from (reader[at] for at in range(reader.samples))


def as_bytes(value):
    if isinstance(value, str):
        return value.encode()
    return value.tobytes() if isinstance(value, np.ndarray) else value


def assert_equal(rows, samples):
    """Compare gathered rows with the stock reader's samples, one by one."""
    assert len(rows) == len(samples)
    longest = max((len(sample["sequence"]) for sample in samples), default=0)
    varying = "length" in rows.dtype.names
    if varying:
        assert rows["sequence"].shape == (len(rows), longest)
    for row, sample in zip(rows, samples, strict=True):
        expected = as_bytes(sample["sequence"])
        length = int(row["length"]) if varying else 40
        assert row["sequence"][:length].tobytes() == expected
        assert not row["sequence"][length:].any()
        assert (row["start"], row["strand"]) == (sample["start"], sample["strand"])
