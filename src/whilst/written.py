"""Outcomes written to an output by its name: the same in two colours."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import aclosing, closing
from functools import partial
from typing import TYPE_CHECKING, cast

from .core.outcome import Record
from .core.plan import Plan

if TYPE_CHECKING:
    from .core.summary import Summary
    from .io.delivery import Delivery

Name = str | os.PathLike[str]
Rest = Callable[[list[Record]], object]


class Written:
    """What can be written: a run."""

    _plan: Plan
    _taken: bool

    @abstractmethod
    def summary(self) -> Summary:
        """Return the counts of this moment."""

    @abstractmethod
    def cancel(self) -> None:
        """Start nothing new, cancel what is in flight."""

    @abstractmethod
    def _records(self, rest: Rest) -> Generator[Iterator[Record], None, None]:
        """Give the records, many at once, in plain code; `rest` gets those that are there when that is left early."""

    @abstractmethod
    def _arecords(self, rest: Rest) -> AsyncGenerator[list[Record], None]:
        """Do so in async code."""

    @abstractmethod
    def _check_fresh(self) -> None:
        """Refuse a second pass."""

    def write(
        self, name: Name, *, failed: Name | None = None, overwrite: bool = False, values: bool = False
    ) -> Summary:
        """Run everything and write every outcome to an output by its name, as the command line does; in plain code.

        A line (a row, a record) holds the input and its value, or the error and the attempts. A file is written beside
        its name and gets it when it is whole; one that exists is not replaced. A value that the output has no place for
        is a failure of its own input. A run that ends early (its deadline, `stop_after`, Ctrl-C) raises when what there
        is has been written and named. What an output can be is on the page "Inputs and outputs".

        Args:
            name: a path or URL whose ending says what is written: .jsonl, .csv, .parquet (with .gz or .zst), or
                "sqlite:///f.db?table=t", "s3://…"; "-" is standard output.
            failed: where failures go, as JSON lines that are a valid input of another run; None: to the output, or with
                `values` to standard error.
            overwrite: whether a file or table that exists is replaced, or upserted.
            values: values alone, without their inputs.

        Returns:
            The summary of the run, in which what the output refused counts as failed.

        Raises:
            FileExistsError: it exists; or it appeared meanwhile, and the message says where the results are.
            OSError: it cannot be written; what could be is in a file that the message names.
            ValueError: the name says too little, or stands for the input, the journal, the trace or `failed`, too.

        >>> import pathlib, tempfile, whilst
        >>> path = pathlib.Path(tempfile.mkdtemp(), "out.jsonl")
        >>> whilst.map(int, ["7", "x"]).write(path).failed
        1
        >>> print(path.read_text(), end="")
        {"input":"7","value":7}
        {"input":"x","error":"ValueError: invalid literal for int() with base 10: 'x'","attempts":1}
        """
        delivery = self._delivery(name, failed, overwrite, values)
        ended_by: BaseException | None = None
        rest: list[Record] = []
        try:
            with closing(self._records(rest.extend)) as batches:
                for delivery.hand in batches:
                    delivery.take()
        except BaseException as error:  # also KeyboardInterrupt: what there is is written
            ended_by = error
            raise
        finally:
            delivery.finish(ended_by, rest)
            ended_by = None
        return delivery.counted(self.summary())

    async def awrite(
        self, name: Name, *, failed: Name | None = None, overwrite: bool = False, values: bool = False
    ) -> Summary:
        """Do as `write` in async code: async calls run on the caller's loop, and the writing happens on a thread."""
        from .lanes.calls import calls_of_loop

        calls = calls_of_loop()
        delivery: Delivery = await calls.call(partial(self._delivery, name, failed, overwrite, values))
        ended_by: BaseException | None = None
        rest: list[Record] = []
        try:
            async with aclosing(self._arecords(rest.extend)) as batches:
                async for delivery.hand in batches:
                    await calls.call(delivery.take)
        except BaseException as error:  # as above, and a cancellation
            ended_by = error
            raise
        finally:
            await calls.call(delivery.finish, ended_by, rest)
            ended_by = None
        return delivery.counted(self.summary())

    def _delivery(self, name: Name, failed: Name | None, overwrite: bool, values: bool) -> Delivery:
        for parameter, given in (("name", name), ("failed", failed)):
            if not isinstance(given, (str, os.PathLike)) and (given is not None or parameter == "name"):
                raise TypeError(
                    f"{parameter} must be the name of an output, got {type(given).__name__}\n"
                    '  try: run.write("out.jsonl")'
                )
        self._check_fresh()
        from .core.check import flag
        from .io.delivery import Delivery, Wish

        plan = self._plan
        wish = Wish(
            os.fspath(name),
            None if failed is None else os.fspath(failed),
            flag("overwrite", overwrite),
            flag("values", values),
            plan.inputs,
            None if plan.journal is None else os.fspath(cast("str", plan.journal.path)),
            plan.trace,
            plan.stop_after is not None,
        )
        return Delivery(wish, on_broken=self.cancel)
