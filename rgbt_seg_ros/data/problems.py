"""Say everything that is wrong with a data set at once, not only the first thing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rgbt_seg_ros.data.samples import DataError

_Result = TypeVar("_Result")


class DataProblems(DataError):
    """One or more problems of a data set.

    Attributes:
        problems: A sentence each. As text: the first, and how many more there are.
    """

    def __init__(self, *problems: str) -> None:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(f"{problems[0]}{more}")
        self.problems = problems


def problems_of(error: DataError) -> tuple[str, ...]:
    """Return the sentences an error stands for."""
    return error.problems if isinstance(error, DataProblems) else (str(error),)


class Problems:
    """Collects problems so that they can be raised together."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def attempt(self, read: Callable[[], _Result]) -> _Result | None:
        """Return what ``read`` gives; None where it raised a DataError, which is kept."""
        try:
            return read()
        except DataError as error:
            self.found.extend(problems_of(error))
            return None

    def raise_found(self) -> None:
        """Raise DataProblems where anything was found."""
        if self.found:
            raise DataProblems(*self.found)


@contextmanager
def gathered(problems: Problems | None) -> Iterator[Problems]:
    """Yield where to note problems: in ``problems`` where given; else they are raised together at the end.

    Raises:
        DataProblems: ``problems`` is None and something was found.
    """
    noted = Problems() if problems is None else problems
    yield noted
    if problems is None:
        noted.raise_found()
