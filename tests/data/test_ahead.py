"""Items made ahead by a thread: their order, how far ahead, errors, and its end."""

import itertools
import threading
import time

import pytest
import torch

from glm_composer.data.ahead import ahead


def alive():
    return [thread for thread in threading.enumerate() if thread.name == "ahead"]


def wait_until(true):
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("items", [0, 1, 2, 100])
def test_all_items_in_order(items, count):
    assert list(ahead(range(items), count)) == list(range(items))
    assert not alive()


def test_they_are_made_without_helpers_that_would_slow_the_user_down():
    def counts():
        # Until the user goes on, whose number is taken over by what computes for the first time.
        time.sleep(0.1)
        torch.ones(4, 1_000_000).add_(1).sum()
        yield torch.get_num_threads()

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    assert list(ahead(counts(), 1)) == [1]
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 3])
def test_so_many_are_made_and_no_more(count):
    begun = []
    items = ahead((begun.append(item) or item for item in itertools.count()), count)
    assert not begun
    for taken in range(1, 4):
        assert next(items) == taken - 1
        wait_until(lambda taken=taken: len(begun) == taken + count)
    time.sleep(0.05)
    assert len(begun) == 3 + count
    items.close()


def test_an_error_comes_in_its_place():
    def failing():
        yield 1
        yield 2
        raise ValueError("the third")

    items = ahead(failing(), 2)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(ValueError, match="the third"):
        next(items)
    assert not alive()


def test_leaving_ends_the_thread():
    items = ahead(itertools.count(), 2)
    assert next(items) == 0
    assert len(alive()) == 1
    items.close()
    assert not alive()
    for number in ahead(itertools.count(), 2):
        if number == 5:
            break
    wait_until(lambda: not alive())
