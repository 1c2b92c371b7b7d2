"""Names to readers and writers; files that are whole or not there."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from whilst.io.open import UnknownKind, open_input, open_output, output_format
from whilst.io.output import BATCH, Descriptor, Output
from whilst.io.sink import LineSink


@pytest.mark.parametrize(
    ("name", "format", "kind"),
    [
        ("a.txt", None, "text"),
        ("a.JSONL", None, "jsonl"),
        ("a.csv", None, "csv"),
        ("a.csv", "text", "text"),
        ("a", "csv", "csv"),
    ],
)
def test_an_input_goes_by_its_name(tmp_path: Path, name: str, format: str | None, kind: str) -> None:
    (tmp_path / name).write_text("x\n")
    opened = open_input(str(tmp_path / name), format)
    assert (opened.format, opened.source.size) == (kind, 2)
    opened.source.close()


def test_an_output_needs_a_known_ending(tmp_path: Path) -> None:
    with pytest.raises(UnknownKind, match="no ending that says"):
        output_format("a.txt")
    with pytest.raises(FileNotFoundError):
        open_input(str(tmp_path / "b.xml"))
    with pytest.raises(IsADirectoryError):
        open_input(str(tmp_path), "text")


def test_standard_input_is_text_and_devices_are_jsonl() -> None:
    assert open_input("-").format == "text"
    assert open_input("-", "csv").format == "csv"
    assert output_format("-") == output_format("/dev/null") == "jsonl"


def bytes_to(name: str, **options: Any) -> Output:
    """Return what is below the lines of a sink."""
    sink = open_output(name, **options)
    assert isinstance(sink, LineSink)
    return sink._output


def test_a_file_has_its_name_only_when_it_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    output = bytes_to(str(path))
    output.write(b"1\n")
    output.flush()
    (part,) = tmp_path.iterdir()
    assert re.fullmatch(rf"out\.jsonl\.{os.getpid()}\.[0-9a-f]{{8}}\.part", part.name)
    assert output.finish() is None
    assert output.finish() is None  # a second time does nothing
    assert path.read_bytes() == b"1\n"
    assert [it.name for it in tmp_path.iterdir()] == ["out.jsonl"]


def test_a_file_is_replaced_only_on_demand_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("old")
    path.chmod(0o640)
    with pytest.raises(FileExistsError):
        bytes_to(str(path))
    output = bytes_to(str(path), overwrite=True)
    output.write(b"new")
    assert path.read_text() == "old"
    output.finish()
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.jsonl").write_text("old")
    (tmp_path / "link.jsonl").symlink_to("real.jsonl")
    output = bytes_to(str(tmp_path / "link.jsonl"), overwrite=True)
    output.write(b"new")
    output.finish()
    assert (tmp_path / "link.jsonl").is_symlink()
    assert (tmp_path / "real.jsonl").read_text() == "new"


def test_a_file_that_appeared_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    output = bytes_to(str(path))
    output.write(b"ours")
    path.write_text("theirs")
    kept = output.finish()
    assert path.read_text() == "theirs"
    assert kept is not None
    assert Path(kept).read_text() == "ours"


def test_a_discarded_file_leaves_nothing(tmp_path: Path) -> None:
    bytes_to(str(tmp_path / "out.jsonl")).discard()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        bytes_to(str(tmp_path / "no" / "out.jsonl"))


def test_lines_keep_their_order_while_another_thread_flushes(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    output = bytes_to(str(path))
    done = threading.Event()

    def flush() -> None:
        while not done.is_set():
            output.flush()

    flusher = threading.Thread(target=flush)
    flusher.start()
    for number in range(50_000):
        output.write(b"%d\n" % number)
    done.set()
    flusher.join()
    output.finish()
    assert path.read_bytes() == b"".join(b"%d\n" % number for number in range(50_000))


def test_a_pipe_nobody_reads_is_an_error_now_and_ever_after() -> None:
    read, write = os.pipe()
    os.close(read)
    output = Output(Descriptor(write), "pipe")
    with pytest.raises(BrokenPipeError):
        output.write(b"x" * BATCH)
    with pytest.raises(BrokenPipeError):
        output.flush()
    assert isinstance(output.broken, BrokenPipeError)
    os.close(write)


def test_a_non_blocking_pipe_is_waited_for() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    output = Output(Descriptor(write), "pipe")
    got: list[bytes] = []

    def drain() -> None:
        while data := os.read(read, 65536):
            got.append(data)

    reader = threading.Thread(target=drain)
    reader.start()
    output.write(b"x" * (4 * BATCH))
    os.close(write)
    reader.join()
    os.close(read)
    assert sum(map(len, got)) == 4 * BATCH
