"""Who does the work of a long job: this process, several, or a Ray cluster. The results are the same, only their order differs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
from itertools import islice
from multiprocessing import get_context
from typing import Any, Literal, TypeVar

from eyesup.types.errors import EyesUpError, MissingExtraError

T = TypeVar("T")
Engine = Literal["process", "ray"]
QUEUED_PER_CPU = 4  # tasks handed to Ray ahead of time


class WorkerDiedError(EyesUpError):
    """A worker process ended without an answer: killed, or out of memory."""


def outcomes(
    work: Callable[[int], T], items: Sequence[int], workers: int, engine: Engine = "process", address: str | None = None
) -> Iterator[tuple[int, T | Exception]]:
    """What became of each item, in the order in which they end; an exception is handed over, not raised.

    Args:
        work: Must be picklable unless everything happens in this process (``process`` with one worker).
        items: What to call it with.
        workers: Processes; with a Ray cluster that was there before, as many as it has.
        engine: ``process`` for processes of this machine, ``ray`` for a Ray cluster.
        address: Of the cluster (``auto``, ``ray://host:10001``); None starts one on this machine.

    Raises:
        MissingExtraError: Ray is asked for and not installed.
    """
    if engine == "ray":
        return _ray(work, items, workers, address)
    if workers == 1 or len(items) < 2:
        return _here(work, items)
    return _processes(work, items, workers)


def _here(work: Callable[[int], T], items: Sequence[int]) -> Iterator[tuple[int, T | Exception]]:
    for item in items:
        try:
            yield item, work(item)
        except Exception as error:  # judged by the caller
            yield item, error


def _processes(work: Callable[[int], T], items: Sequence[int], workers: int) -> Iterator[tuple[int, T | Exception]]:
    """A dead worker takes its pool with it. What may have killed it is tried again alone, the rest in a new pool."""
    left = list(items)
    while left:
        broken = False
        for item, outcome in _pool(work, left, workers):
            if isinstance(outcome, WorkerDiedError):
                broken = True
            else:
                left.remove(item)
                yield item, outcome
        if broken:
            suspects, left = left[: workers + 1], left[workers + 1 :]  # a pool starts items in order
            for item in suspects:
                yield from _pool(work, [item], 1)


def _pool(work: Callable[[int], T], items: Sequence[int], workers: int) -> Iterator[tuple[int, T | Exception]]:
    # spawn: SUMO and Panda3D keep one world per process and do not survive a fork
    pool = ProcessPoolExecutor(min(workers, len(items)), mp_context=get_context("spawn"))
    try:
        futures = {pool.submit(work, item): item for item in items}
        for future in as_completed(futures):
            error = future.exception()
            if isinstance(error, BrokenProcessPool):
                error = WorkerDiedError(str(error))
            yield futures[future], error if isinstance(error, Exception) else future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _ray(
    work: Callable[[int], T], items: Sequence[int], workers: int, address: str | None
) -> Iterator[tuple[int, T | Exception]]:
    """One task per item and process at a time: SUMO is one simulation per process. Ray repeats the task of a dead worker."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray: Any = import_module("ray")  # optional, and untyped without it
    except ModuleNotFoundError as error:
        raise MissingExtraError("generation over Ray", "ray") from error
    started_here = not ray.is_initialized()
    if started_here:
        # A cluster that is there already has its own number of processors; Ray refuses one given beside an address.
        local: dict[str, Any] = {"num_cpus": workers, "include_dashboard": False} if address is None else {}
        ray.init(address=address, logging_level="error", log_to_driver=False, **local)
    try:
        task, shared = ray.remote(num_cpus=1)(_call), ray.put(work)
        waiting = iter(items)
        running: dict[Any, int] = {}
        ahead = QUEUED_PER_CPU * max(int(ray.cluster_resources().get("CPU", 1)), 1)
        while True:
            running |= {task.remote(shared, item): item for item in islice(waiting, ahead - len(running))}
            if not running:
                return
            (ready,), _ = ray.wait(list(running), num_returns=1)
            yield running.pop(ready), _fetched(ray, ready)
    finally:
        if started_here:
            ray.shutdown()


def _call(work: Callable[[int], T], item: int) -> T:
    return work(item)


def _fetched(ray: Any, reference: Any) -> Any:
    """The result of a finished task, or what it raised."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        return error.cause if isinstance(error.cause, Exception) else error
    except ray.exceptions.RayError as error:
        return WorkerDiedError(str(error))
