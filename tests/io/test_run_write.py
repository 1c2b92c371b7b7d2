"""`run.write` and `whilst.rows`: inputs and outputs by name, from Python, with the promises of the command line."""

import asyncio
import gzip
import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import whilst


def double(n: int) -> int:
    if n == 3:
        raise ValueError("three is not for us")
    return 2 * n


async def adouble(n: int) -> int:
    await asyncio.sleep(0)
    return double(n)


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


BAD = {"input": 3, "error": "ValueError: three is not for us", "attempts": 1}


class TestWrite:
    def test_every_outcome_is_a_line_and_the_summary_comes_back(self, tmp_path: Path) -> None:
        out = tmp_path / "out.jsonl"
        summary = whilst.map(double, range(5)).write(out)
        assert (summary.ok, summary.failed, summary.done) == (4, 1, True)
        good = [{"input": n, "value": 2 * n} for n in (0, 1, 2)]
        assert lines(out) == [*good, BAD, {"input": 4, "value": 8}]

    @pytest.mark.parametrize("fn", [double, adouble])
    def test_in_async_code_it_is_the_same(self, tmp_path: Path, fn: Any) -> None:
        out, failed = tmp_path / "out.jsonl.gz", tmp_path / "failed.jsonl"
        summary = asyncio.run(whilst.map(fn, range(500)).awrite(out, failed=failed, values=True))
        assert (summary.ok, summary.failed) == (499, 1)
        assert [int(line) for line in gzip.decompress(out.read_bytes()).split()] == [
            2 * n for n in range(500) if n != 3
        ]
        assert lines(failed) == [BAD]

    def test_async_calls_run_on_the_callers_own_loop_while_it_is_written(self, tmp_path: Path) -> None:
        loops: set[Any] = set()

        async def note(n: int) -> int:
            loops.add(asyncio.get_running_loop())
            return n

        async def main() -> Any:
            await whilst.map(note, range(10)).awrite(tmp_path / "out.jsonl")
            return asyncio.get_running_loop()

        assert loops == {asyncio.run(main())}

    def test_values_alone_leave_failures_to_standard_error(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        whilst.map(double, range(5)).write(tmp_path / "out.jsonl", values=True)
        assert lines(tmp_path / "out.jsonl") == [0, 2, 4, 8]
        assert json.loads(capfd.readouterr().err) == BAD

    def test_nothing_that_exists_is_replaced_unasked_and_nothing_is_called(self, tmp_path: Path) -> None:
        out, called = tmp_path / "out.jsonl", []
        out.write_text("precious\n")
        run = whilst.map(called.append, range(3))
        with pytest.raises(
            FileExistsError, match=r"it has 9 bytes and is not replaced\n  try: run.write\(.*overwrite=True"
        ):
            run.write(out)
        assert (called, out.read_text(), os.listdir(tmp_path)) == ([], "precious\n", ["out.jsonl"])
        run.write(out, overwrite=True)
        assert len(lines(out)) == 3

    def test_it_has_its_name_when_it_is_whole(self, tmp_path: Path) -> None:
        out, seen = tmp_path / "out.jsonl", []

        def look(n: int) -> int:
            seen.append(out.exists())
            return n

        whilst.map(look, range(50), concurrency=2).write(out)
        assert seen == [False] * 50
        assert os.listdir(tmp_path) == ["out.jsonl"]

    def test_what_appears_meanwhile_is_not_replaced(self, tmp_path: Path) -> None:
        out = tmp_path / "out.jsonl"

        def plant(n: int) -> int:
            out.write_text("somebody else's")
            return n

        with pytest.raises(FileExistsError, match="appeared meanwhile and was not replaced\n  results are in "):
            whilst.map(plant, [1]).write(out)
        assert out.read_text() == "somebody else's"
        (part,) = tmp_path.glob("out.jsonl.*.part")
        assert lines(part) == [{"input": 1, "value": 1}]

    def test_a_run_that_ends_early_names_what_there_is_and_raises(self, tmp_path: Path) -> None:
        out = tmp_path / "out.jsonl"
        with pytest.raises(whilst.Stopped):
            whilst.map(double, [1, 2, 3, 4], stop_after=1, concurrency=1).write(out)
        assert lines(out)[:3] == [{"input": 1, "value": 2}, {"input": 2, "value": 4}, BAD]

    def test_one_that_ends_before_anything_came_leaves_nothing(self, tmp_path: Path) -> None:
        def broken() -> Any:
            raise OSError("no such host")
            yield 1

        with pytest.raises(OSError, match="no such host"):
            whilst.map(double, broken()).write(tmp_path / "out.jsonl")
        run = whilst.map(double, [1])
        run.list()
        with pytest.raises(RuntimeError, match="can be iterated once"):
            run.write(tmp_path / "out.jsonl")
        assert os.listdir(tmp_path) == []

    def test_a_value_without_a_place_is_a_failure_of_its_own_input(self, tmp_path: Path) -> None:
        def make(n: int) -> Any:
            return object() if n == 2 else n

        out = tmp_path / "out.jsonl"
        summary = whilst.map(make, range(4)).write(out)
        assert (summary.ok, summary.failed, dict(summary.failures)) == (3, 1, {"refused by the output": 1})
        assert "object cannot be written as JSON" in lines(out)[2]["error"]
        with pytest.raises(whilst.Stopped, match="the first 50 values were all refused"):
            whilst.map(lambda _: object(), range(1000)).write(tmp_path / "other.jsonl")
        goes_on = whilst.map(lambda _: object(), range(100), stop_after="100%").write(tmp_path / "third.jsonl")
        assert goes_on.failed == 100

    def test_an_input_that_json_has_no_word_for_is_its_repr(self, tmp_path: Path) -> None:
        whilst.map(len, [{1, 2}, Path("a/b").parts, threading.Thread]).write(tmp_path / "out.jsonl")
        given = [line["input"] for line in lines(tmp_path / "out.jsonl")]
        assert given == [[1, 2], ["a", "b"], "<class 'threading.Thread'>"]

    def test_a_table_keeps_the_columns_of_its_input(self, tmp_path: Path) -> None:
        source, out = tmp_path / "in.csv", tmp_path / "out.csv"
        source.write_text("id,name\n1,mew\n2,onix\nbroken\n3,ditto\n")
        summary = whilst.map(lambda row: len(row["name"]), whilst.rows(source)).write(out)
        assert (summary.ok, summary.failed) == (3, 1)
        assert out.read_text().splitlines()[:3] == ["id,name,value,error,attempts", "1,mew,3,,", "2,onix,4,,"]
        assert "broken" in out.read_text().splitlines()[3]

    def test_a_database_is_upserted(self, tmp_path: Path) -> None:
        name = f"sqlite:///{tmp_path}/f.db?table=t&key=id"
        people = [{"id": 1, "name": "ann"}, {"id": 2, "name": "ben"}]
        for _ in range(2):
            whilst.map(lambda row: {"size": len(row["name"])}, people).write(name, overwrite=True)
        with closing(sqlite3.connect(tmp_path / "f.db")) as database:
            assert sorted(database.execute("SELECT id, size FROM t")) == [(1, 3), (2, 3)]

    def test_a_resumed_run_writes_all_again(self, tmp_path: Path) -> None:
        out, journal = tmp_path / "out.jsonl", tmp_path / "run.db"
        whilst.map(double, range(5), journal=journal).write(out)
        before = out.read_bytes()
        summary = whilst.map(double, range(5), journal=journal).write(out, overwrite=True)
        assert summary.recalled == 4
        assert out.read_bytes() == before

    def test_a_stream_and_a_mapped_flow_are_written_too(self, tmp_path: Path) -> None:
        flow = whilst.sequence(range, whilst.each(double))
        summary = flow.stream(3).write(tmp_path / "stream.jsonl", values=True)
        assert (summary.ok, lines(tmp_path / "stream.jsonl")) == (3, [0, 2, 4])
        whilst.map(flow, [2, 3]).write(tmp_path / "mapped.jsonl")
        assert lines(tmp_path / "mapped.jsonl") == [{"input": 2, "value": [0, 2]}, {"input": 3, "value": [0, 2, 4]}]

    def test_names_that_cannot_be_meant_are_answered(self, tmp_path: Path) -> None:
        run = whilst.map(double, whilst.rows(tmp_path / "in.jsonl"), journal=tmp_path / "run.db")
        with pytest.raises(TypeError, match="name must be the name of an output, got int"):
            run.write(7)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"has no ending that says.*\n.*\n  try: 'out.jsonl'"):
            run.write("out.xyz")
        with pytest.raises(ValueError, match=r"is a directory\n  try: .*/out.jsonl"):
            run.write(tmp_path)
        with pytest.raises(ValueError, match=r"try: 'sqlite:///out.db\?table=NAME'"):
            run.write("out.db")
        with pytest.raises(ValueError, match=r"there is no folder ~\n.*\n  try: os.path.expanduser\('~/out.jsonl'\)"):
            run.write("~/out.jsonl")
        with pytest.raises(ValueError, match=r"try: trace=os.path.expanduser\('~/run.trace'\)"):
            whilst.map(double, [1], trace="~/run.trace")
        with pytest.raises(ValueError, match=r"there is no directory .*nowhere\n  try: mkdir -p .*nowhere"):
            whilst.map(double, [1]).write(f"sqlite:///{tmp_path}/nowhere/a.db?table=t")
        with pytest.raises(ValueError, match=r"failures are written as JSON lines"):
            run.write(tmp_path / "out.jsonl", failed=tmp_path / "failed.csv")
        with pytest.raises(ValueError, match="the output and failed= are the same file"):
            run.write(tmp_path / "out.jsonl", failed=tmp_path / "out.jsonl")
        with pytest.raises(ValueError, match="the output and the input are the same file"):
            run.write(tmp_path / "in.jsonl")
        with pytest.raises(ValueError, match="the output and the trace are the same file"):
            whilst.map(double, [1], trace=tmp_path / "out.jsonl").write(tmp_path / "out.jsonl")
        with pytest.raises(ValueError, match="journal and trace are the same file"):
            whilst.map(double, [1], journal=tmp_path / "one", trace=tmp_path / "one")
        with pytest.raises(ValueError, match="ftp:// is not a known scheme"):
            run.write("ftp://host/out.jsonl")
        with pytest.raises(OSError, match="No such file or directory"):
            run.write(tmp_path / "nowhere" / "out.jsonl")
        assert os.listdir(tmp_path) == []

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full is Linux's")
    def test_a_full_disk_ends_the_run(self) -> None:
        with pytest.raises(OSError, match="No space left"):
            whilst.map(double, range(100_000)).write("/dev/full")

    def test_a_cancelled_awrite_names_what_it_has(self, tmp_path: Path) -> None:
        out = tmp_path / "out.jsonl"

        async def main() -> None:
            begun = asyncio.Event()

            async def call(n: int) -> int:
                if n == 5:
                    begun.set()
                    await asyncio.sleep(3600)
                return n

            task = asyncio.create_task(whilst.map(call, range(10), concurrency=1).awrite(out))
            await begun.wait()
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()

        asyncio.run(main())
        assert lines(out) == [{"input": n, "value": n} for n in range(5)]

    @pytest.mark.skipif(sys.platform == "win32", reason="signals as Unix has them")
    def test_a_killed_process_leaves_its_rows_beside_the_name(self, tmp_path: Path) -> None:
        program = textwrap.dedent(
            """
            import time, whilst
            def call(n):
                time.sleep(0.02 if n < 30 else 3600)
                return n
            whilst.map(call, range(31), concurrency=1).write("out.jsonl")
            """
        )
        process = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path)
        try:
            deadline = time.monotonic() + 60
            while sum(part.read_bytes().count(b"\n") for part in tmp_path.glob("out.jsonl.*.part")) < 20:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert not (tmp_path / "out.jsonl").exists()
        summary = whilst.map(double, [1]).write(tmp_path / "out.jsonl")
        assert any("is what an earlier run left of" in note for note in summary.notes)


class TestRows:
    def test_they_are_read_anew_each_time(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.jsonl"
        path.write_text('{"a": 1}\n"two"\n')
        rows = whilst.rows(path)
        assert [list(rows), list(rows)] == [[{"a": 1}, "two"]] * 2
        path.write_text("3\n")
        assert list(rows) == [3]
        assert repr(rows) == f"rows({str(path)!r})"

    def test_nothing_is_opened_before_the_first_is_asked_for_and_all_is_closed(self, tmp_path: Path) -> None:
        rows = whilst.rows(tmp_path / "later.txt")
        (tmp_path / "later.txt").write_text("a\nb\nc\n")
        given = iter(rows)
        assert next(given) == "a"
        given.close()  # type: ignore[attr-defined]
        fds = Path("/proc/self/fd")
        if fds.exists():
            assert "later.txt" not in "".join(
                os.readlink(fd) for fd in fds.iterdir() if fd.is_symlink() and fd.exists()
            )

    def test_a_bad_row_raises_by_hand(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.jsonl"
        path.write_text('1\n{"a": \n3\n')
        rows = iter(whilst.rows(path))
        assert next(rows) == 1
        with pytest.raises(whilst.RowRejected, match="not JSON") as caught:
            next(rows)
        assert (caught.value.line, caught.value.excerpt) == (2, '{"a":')
        assert isinstance(caught.value, ValueError)

    def test_a_format_may_be_named(self, tmp_path: Path) -> None:
        path = tmp_path / "rows"
        path.write_text('{"a": 1}\n')
        assert list(whilst.rows(path, format="jsonl")) == [{"a": 1}]
        with pytest.raises(ValueError, match=r"format must be one of 'text', .*, got 'xml'"):
            whilst.rows(path, format="xml")

    def test_what_cannot_be_read_says_so_when_it_is_read(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            list(whilst.rows(tmp_path / "none.jsonl"))
        (tmp_path / "book.xlsx").write_bytes(b"PK\x03\x04 whatever")
        with pytest.raises(ValueError, match="xlsx"):
            list(whilst.rows(tmp_path / "book.xlsx"))
        with pytest.raises(TypeError, match=r'try: whilst.rows\("rows.jsonl"\)'):
            whilst.rows(5)  # type: ignore[arg-type]

    def test_only_what_is_needed_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "many.txt"
        path.write_text("\n".join(map(str, range(200_000))))
        run = whilst.map(int, whilst.rows(path), concurrency=2)
        with run:
            assert next(iter(run)) == 0
