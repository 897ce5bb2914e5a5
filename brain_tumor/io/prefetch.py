"""Compute the next item while the current one is used."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def prefetch(pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Apply a function to items in order, and compute one result ahead of the one that is used."""
    following: Future[R] | None = None
    for item in items:
        current, following = following, pool.submit(function, item)
        if current is not None:
            yield current.result()
    if following is not None:
        yield following.result()
