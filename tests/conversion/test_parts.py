"""Parts come back as they were written; what was torn is known for torn."""

import numpy as np
import pytest

from glm_composer.conversion.parts import FACT, Part, PartWriter
from glm_composer.conversion.shard_format import row_type

LENGTH = 40


@pytest.fixture
def tables():
    rng = np.random.default_rng(0)
    size = 130_000 * row_type(LENGTH).itemsize
    rows = np.frombuffer(rng.bytes(size), dtype=row_type(LENGTH))
    facts = np.frombuffer(rng.bytes(len(rows) * FACT.itemsize), dtype=FACT)
    return rows, facts


def write(path, rows, facts):
    with PartWriter(path, LENGTH) as part:
        seen = (("b", 3), ("a", 9), ("b", 7))
        assert [part.contig(name, end) for name, end in seen] == [0, 1, 0]
        for first in range(0, len(rows), 50_000):
            part.write(rows[first : first + 50_000], facts[first : first + 50_000])
        assert not path.exists()
    return Part(path)


def test_rows_and_facts_come_back_in_blocks(tables, tmp_path):
    rows, facts = tables
    part = write(tmp_path / "part", rows, facts)
    part.check()
    assert (part.info.contigs, part.info.ends, part.info.windows) == (["b", "a"], [7, 9], 130_000)
    assert part.facts().tobytes() == facts.tobytes()
    # Copied: every block is read into the memory of the one before.
    places, blocks = zip(*((place, block.copy()) for place, block in part.blocks()), strict=True)
    assert len(blocks) > 1
    assert np.concatenate(blocks).tobytes() == rows.tobytes()
    assert [i for place in places for i in range(*place.indices(len(rows)))] == [*range(len(rows))]
    assert [path.name for path in tmp_path.iterdir()] == ["part"]


def test_a_part_without_windows(tmp_path):
    part = write(tmp_path / "part", np.empty(0, row_type(LENGTH)), np.empty(0, FACT))
    part.check()
    assert (len(part.facts()), list(part.blocks())) == (0, [])


def test_damage_is_found_wherever_it_is(tables, tmp_path):
    path = tmp_path / "part"
    whole = write(path, *(table[:100] for table in tables))
    content = path.read_bytes()
    for at in (0, 2_000, len(content) - 300):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises((ValueError, TypeError)):
            Part(path).check()
    for size in (0, 5, whole.info.windows, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises((ValueError, TypeError)):
            Part(path)


def test_an_error_leaves_nothing(tables, tmp_path):
    def fail():
        with PartWriter(tmp_path / "part", LENGTH) as part:
            part.write(*tables)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []
