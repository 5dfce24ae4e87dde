"""Any chain of restarts on any ranks deals what one uninterrupted process deals."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from glm_composer.data.batches import GlobalBatches, Place
from glm_composer.data.mixture import Mixture, Proportion
from glm_composer.data.stream import Stream

BATCH = 12
RANKS = [1, 2, 3, 4, 6]

# A source is made anew for every process: nothing may be remembered but the state.
single = st.builds(
    lambda counts, seed, shuffle: lambda: Stream(np.array(counts), seed, shuffle),
    st.lists(st.integers(1, 90), min_size=1, max_size=4),
    st.integers(0, 2**40),
    st.booleans(),
)
weights = st.lists(st.floats(0.1, 1), min_size=2, max_size=2)
mixed = st.builds(
    lambda sizes, seed, ends: (
        lambda: Mixture(
            [Stream(np.array([size]), seed) for size in sizes],
            [Proportion((0, 7), tuple(weights)) for weights in ends],
            BATCH,
            60,
        )
    ),
    st.lists(st.integers(1, 90), min_size=2, max_size=2),
    st.integers(0, 2**40),
    st.lists(weights, min_size=2, max_size=2),
)


def deal(source, ranks, state, count):
    """The next batches, (id, epoch) of each, from all ranks together; and the state after them."""
    dealers = [GlobalBatches(source(), BATCH, Place(r, ranks, ranks)) for r in range(ranks)]
    for dealer in dealers if state else []:
        dealer.load_state_dict(state)
    found, running, done = [], [iter(each) for each in dealers], 0
    if state:
        done = state["samples"]
    while len(found) < count:
        shares = [next(each, None) for each in running]
        if shares[0] is None:  # an epoch's end, which all ranks reach alike
            assert shares == [None] * ranks
            running, done = [iter(each) for each in dealers], 0
            continue
        pairs = []
        for share in shares:
            epochs = np.broadcast_to(share.epoch, share.ids.shape).tolist()
            pairs += zip(share.ids.tolist(), epochs, strict=True)
        found.append(sorted(pairs))
        done += sum(id_ >= 0 for id_, _ in pairs)
    # Composer counts real samples, and from 0 again once it has seen the epoch's end.
    return found, dealers[0].state_dict(done)


@given(
    source=single | mixed,
    runs=st.lists(st.tuples(st.sampled_from(RANKS), st.integers(1, 12)), min_size=1, max_size=5),
)
@settings(max_examples=40, deadline=None, database=None)
def test_any_chain_of_restarts(source, runs):
    whole, _ = deal(source, 1, None, sum(count for _, count in runs))
    parts, state = [], None
    for ranks, count in runs:
        found, state = deal(source, ranks, state, count)
        parts += found
    assert parts == whole
