"""Work spread over processes."""

from __future__ import annotations

import os
import signal

import pytest

from eyesup.world.workers import WorkerDiedError, outcomes


def double_or_die(item: int) -> int:
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if item == 5:
        raise ValueError("five")
    return 2 * item


@pytest.mark.parametrize("workers", [2])
def test_a_dead_worker_costs_its_own_item_only(workers: int) -> None:
    found = dict(outcomes(double_or_die, list(range(9)), workers))
    assert isinstance(found.pop(3), WorkerDiedError) and isinstance(found.pop(5), ValueError)
    assert found == {item: 2 * item for item in (0, 1, 2, 4, 6, 7, 8)}


def test_one_worker_works_here() -> None:
    found = dict(outcomes(double_or_die, [1, 5], 1))
    assert found[1] == 2 and isinstance(found[5], ValueError)
