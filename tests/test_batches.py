"""Batches: all items once, in order, in smaller batches where memory runs out."""

from __future__ import annotations

import logging

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.batches import in_batches


@settings(max_examples=15, deadline=None)  # each time that memory runs out, it is collected
@given(st.integers(0, 40), st.integers(1, 50), st.integers(1, 12))
def test_every_item_is_done_once_and_in_order(count: int, size: int, fits: int) -> None:
    def work(part: slice) -> list[int]:
        if part.stop - part.start > fits:
            raise torch.OutOfMemoryError
        return list(range(count))[part]

    done = [item for _, part in in_batches(work, count, size) for item in part]
    assert done == list(range(count))


def test_it_says_so_and_keeps_the_smaller_batch(caplog: pytest.LogCaptureFixture) -> None:
    sizes = []

    def work(part: slice) -> None:
        sizes.append(part.stop - part.start)
        if sizes[-1] > 3:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried")

    with caplog.at_level(logging.WARNING):
        list(in_batches(work, 12, 8))
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 2]
    assert [record.args for record in caplog.records] == [(8, 4), (4, 2)]


def test_where_a_single_item_does_not_fit_the_error_is_the_readers() -> None:
    def work(_: slice) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        list(in_batches(work, 4, 4))


def test_another_error_is_not_taken_for_memory() -> None:
    tried = []

    def work(part: slice) -> None:
        tried.append(part)
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        list(in_batches(work, 4, 4))
    assert len(tried) == 1
