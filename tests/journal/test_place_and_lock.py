"""Where a journal can live, who may use it, and what is said when it cannot be."""

import asyncio
import contextlib
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from journalkit import admitted, double, drive, opened

import whilst
from whilst.journal import Journal, read_header, read_outcomes, read_status, rescue
from whilst.journal.place import network_filesystem
from whilst.journal.store import APPLICATION

MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / /home rw - nfs4 server:/home rw,vers=4.2
31 30 0:41 / /home/local rw - xfs /dev/sdb1 rw
32 22 0:42 / /mnt/with\\040space rw shared:1 - cifs //host/share rw
33 22 0:43 / /mnt/s rw - fuse.sshfs me@host:/ rw
34 22 0:44 / /mnt/over rw - nfs host:/x rw
35 22 0:45 / /mnt/over rw - tmpfs tmpfs rw
36 22 0:46 / /box rw - 9p rootfs rw
broken line
37 22 0:47 / /mnt/tail rw -
"""


@pytest.mark.parametrize(
    ("directory", "kind"),
    [
        ("/", ""), ("/home", "nfs4"), ("/home/me/x", "nfs4"), ("/home/local/x", ""), ("/homes", ""),
        ("/mnt/with space/a", "cifs"), ("/mnt/s/a/b", "fuse.sshfs"), ("/mnt/over", ""), ("/box/a", ""),
        ("/mnt/tail", ""),
    ],
)  # fmt: skip
def test_a_network_file_system_is_known_by_its_mount(directory: str, kind: str) -> None:
    assert network_filesystem(directory, MOUNTS) == kind


def problem(path: Path | str, **options: Any) -> whilst.JournalError:
    with pytest.raises(whilst.JournalError) as caught:
        drive(Path(path), [1], **options)
    error = caught.value
    assert str(error).startswith(error.fact)
    assert error.remedy, "every message has its mend"
    assert str(error).splitlines()[-1] == f"  try: {error.remedy}"
    return error


def test_a_home_that_nobody_looked_up_is_told_as_that() -> None:
    with pytest.raises(whilst.JournalError) as caught:
        whilst.map(str, [1], journal="~/no such folder/run.db").list()
    assert caught.value.remedy == "os.path.expanduser('~/no such folder/run.db')"


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    error = problem(f"{tmp_path}/\udcff.db")
    assert error.fact.endswith("\\udcff.db' cannot be a journal: that is no text, and SQLite takes no other name")


@pytest.mark.skipif(sys.platform == "win32", reason="a limit on the size of a file")
def test_a_new_journal_that_cannot_be_written_is_not_called_damaged(tmp_path: Path) -> None:
    script = f"""if True:
        import resource, signal, whilst
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
        whilst.map(str, [1], journal={str(tmp_path / "run.db")!r}).list()
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100)
    assert "JournalError" in done.stderr
    assert "run.db cannot be written" in done.stderr
    assert "rescue" not in done.stderr


def test_a_journal_on_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whilst.journal.place.network_filesystem", lambda directory: "nfs4")
    error = problem(tmp_path / "run.db")
    assert "it is on a network file system" in str(error)
    assert "nfs4" in error.evidence[0]
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_missing_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    error = problem(tmp_path / "not there" / "run.db")
    assert error.remedy == f"mkdir -p '{tmp_path / 'not there'}'"


def test_a_directory_is_no_journal(tmp_path: Path) -> None:
    assert "it is a directory" in str(problem(tmp_path))


@contextlib.contextmanager
def as_somebody() -> Iterator[None]:
    """Give up the rights of root, who may write anything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="POSIX rights")
@pytest.mark.parametrize("what", ["directory", "file"])
def test_what_cannot_be_written_is_said_before_anything_is_called(tmp_path: Path, what: str) -> None:
    """`os.access` asks for the real user, who may be root: so a process of its own does."""
    where = tmp_path / "there"
    where.mkdir()
    drive(where / "run.db", [1])
    os.chmod(where / "run.db", 0o444 if what == "file" else 0o666)
    os.chmod(where, 0o777 if what == "file" else 0o555)
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from journalkit import drive\nimport whilst\nfrom pathlib import Path\n"
        "if os.geteuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        f"try: drive(Path({str(where / 'run.db')!r}), [1])\n"
        "except whilst.JournalError as error: print(error)\n"
    )
    for parent in [tmp_path, *tmp_path.parents]:
        if os.stat(parent).st_uid == os.geteuid() and parent != Path("/"):
            os.chmod(parent, os.stat(parent).st_mode | 0o055)
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
    )
    os.chmod(where, 0o777)
    if "PermissionError" in done.stderr or "ModuleNotFoundError" in done.stderr:
        pytest.skip("nobody may not read this interpreter")
    assert "cannot be written" in done.stdout, done.stderr
    assert "chmod u+" in done.stdout


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a,b\n1,2\n", "is not a journal, and is not changed"),
        (b"\x89PNG\r\n", "it starts with b'\\x89PNG"),
        (b'{"input": 1}\n' * 100, "is not a journal"),
        (b"SQLite format 3\0" + b"\xff" * 5000, "is damaged"),
        (b"SQLite format 3\0", "is damaged"),
    ],
)
def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "run.db"
    path.write_bytes(content)
    assert says in str(problem(path))
    assert path.read_bytes() == content
    assert "is damaged" in says or isinstance(problem(path, accept="fresh"), whilst.JournalError)


def test_a_database_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE users(id)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    assert "it is another SQLite database, with 1 tables" in str(problem(path, accept="fresh"))
    assert path.read_bytes() == before


def test_a_journal_of_a_newer_version_is_refused_with_the_command_that_helps(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    drive(path, [1])
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    error = problem(path)
    assert "was written by a newer whilst" in str(error)
    assert error.remedy == "pip install --upgrade whilst"


def test_a_journal_whose_table_is_gone_names_the_rescue(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    drive(path, [1])
    connection = sqlite3.connect(path)
    connection.execute("ALTER TABLE log RENAME TO gone")
    connection.close()
    error = problem(path)
    assert isinstance(error, whilst.JournalDamaged)
    assert "rescue(" in error.remedy


@pytest.mark.parametrize("left", [b"", None])
def test_an_empty_file_or_none_is_a_new_journal(tmp_path: Path, left: bytes | None) -> None:
    path = tmp_path / "run.db"
    if left is not None:
        path.write_bytes(left)
    assert drive(path, [1, 2]).values == [2, 4]
    assert drive(path, [1, 2]).called == []


def test_a_database_that_was_made_and_never_filled_is_a_new_journal(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.close()
    assert drive(path, [1, 2]).values == [2, 4]


def test_what_makes_a_file_a_journal_is_in_it_before_any_outcome(tmp_path: Path) -> None:
    """A log that is damaged later must never make an empty file of it, which would be begun anew."""

    async def main() -> None:
        ledger = opened(tmp_path / "run.db")
        shutil.copy(tmp_path / "run.db", tmp_path / "without its log.db")
        await ledger.close()

    asyncio.run(main())
    connection = sqlite3.connect(tmp_path / "without its log.db")
    assert connection.execute("SELECT count(*) FROM log").fetchone() == (0,)
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION,)
    connection.close()


def test_a_journal_whose_making_was_cut_short_is_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    assert drive(path, [1, 2]).values == [2, 4]
    assert drive(path, [1, 2]).called == []


def test_only_the_owner_can_read_what_is_in_a_journal(tmp_path: Path) -> None:
    async def main() -> None:
        ledger = opened(tmp_path / "run.db")
        await admitted(ledger, [(0, 1)])
        ledger.add((0, 1, 2, None, 0.0, 0.0, 1))
        await ledger.flush()
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
        assert {"run.db", "run.db-wal", "run.db.lock", "run.db.tail"} <= set(modes)
        assert set(modes.values()) == {0o600}
        await ledger.close()

    asyncio.run(main())
    assert stat.S_IMODE((tmp_path / "run.db.status.json").stat().st_mode) == 0o600


# -- the lock --------------------------------------------------------------------------------------------------------

HOLDER = """
import asyncio, sys
sys.path.insert(0, {here!r})
from journalkit import opened
async def main():
    ledger = opened({path!r})
    print("open", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await ledger.close()
asyncio.run(main())
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    script = tmp_path / "holder.py"
    script.write_text(HOLDER.format(here=str(Path(__file__).parent), path=str(tmp_path / "run.db")))
    process = subprocess.Popen(
        [sys.executable, script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    yield process
    if process.poll() is None:
        process.communicate("end\n")
    process.stdout.close()
    assert process.stdin is not None
    process.stdin.close()


def test_a_second_process_is_refused_at_once_by_pid_host_and_start(tmp_path: Path, holder: Any) -> None:
    began = time.monotonic()
    error = problem(tmp_path / "run.db")
    assert time.monotonic() - began < 2
    assert isinstance(error, whilst.JournalLocked)
    assert (error.pid, error.host) == (holder.pid, os.uname().nodename)
    assert abs(error.since - time.time()) < 60
    clock = time.strftime("%H:%M", time.localtime(error.since))
    assert error.fact == f"run.db is in use by pid {holder.pid} on {error.host} since {clock}"
    for look in (lambda: next(read_outcomes(tmp_path / "run.db")), lambda: read_header(tmp_path / "run.db")):
        with pytest.raises(whilst.JournalLocked):
            look()
    with pytest.raises(whilst.JournalLocked):
        rescue(tmp_path / "run.db", tmp_path / "out.db")
    status = read_status(tmp_path / "run.db")
    assert (status.running, status.pid) == (True, holder.pid)
    holder.communicate("end\n")
    assert not read_status(tmp_path / "run.db").running
    assert drive(tmp_path / "run.db", [1]).called == [1]


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path, holder: Any) -> None:
    holder.kill()
    holder.wait()
    assert (tmp_path / "run.db.lock").exists()
    assert not read_status(tmp_path / "run.db").running
    assert drive(tmp_path / "run.db", [1]).called == [1]


def test_two_runs_of_one_process_are_told_so(tmp_path: Path) -> None:
    async def main() -> None:
        ledger = opened(tmp_path / "run.db")
        with pytest.raises(whilst.JournalLocked, match="another run of this process"):
            opened(tmp_path / "run.db")
        os.symlink(tmp_path / "run.db", tmp_path / "other.db")
        with pytest.raises(whilst.JournalLocked):
            opened(tmp_path / "other.db")
        await ledger.close()

    asyncio.run(main())


def test_a_lock_without_the_name_of_its_holder_is_one_all_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        ledger = opened(tmp_path / "run.db")
        (tmp_path / "run.db.lock").write_bytes(b"{")
        with pytest.raises(whilst.JournalLocked, match="in use by another process"):
            opened(tmp_path / "run.db")
        await ledger.close()

    asyncio.run(main())


# -- the function ----------------------------------------------------------------------------------------------------


def treble(x: Any) -> Any:
    return x * 3


def test_a_changed_function_is_noticed_and_both_ways_on_are_named(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    drive(path, range(5), name="score")
    error = problem(path, fn=treble, name="score")
    assert isinstance(error, whilst.JournalChanged)
    assert re.fullmatch(r"score\(\) changed since run\.db was written \(test_place_and_lock\.py line \d+\)", error.fact)
    assert error.evidence == ("5 results are from the old version",)
    assert error.results == 5
    assert 'accept="old") keeps them' in error.remedy
    assert 'accept="fresh") puts them aside' in error.remedy
    another = problem(path, fn=treble, name="treble")
    assert another.fact.startswith("run.db is the journal of score(), this run is of treble()")
    assert another.evidence == ("5 results are of score()",)
    assert another.remedy.startswith("another path; or Journal(")


def test_the_old_results_can_be_kept(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    drive(path, range(5), name="score")
    ran = drive(path, range(6), treble, name="score", accept="old")
    assert ran.values == [0, 2, 4, 6, 8, 15]
    assert drive(path, range(6), treble, name="score").called == []  # accepted once is accepted


def test_a_fresh_start_keeps_the_old_file_aside(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    drive(path, range(5), name="score")
    assert drive(path, range(5), treble, name="score", accept="fresh").called == [0, 1, 2, 3, 4]
    assert drive(path, range(5), treble, name="score").called == []
    assert drive(path, range(5), double, name="score", accept="fresh").called == [0, 1, 2, 3, 4]
    assert drive(tmp_path / "run.db.old-1", range(5), double, name="score").called == []
    assert drive(tmp_path / "run.db.old-2", range(5), treble, name="score").called == []


def test_a_journal_of_another_function_is_told_from_one_that_changed(tmp_path: Path) -> None:
    drive(tmp_path / "run.db", [1], double)
    assert "run.db is the journal of double(), this run is of treble()" in str(problem(tmp_path / "run.db", fn=treble))


def test_other_bound_arguments_are_told_from_a_change(tmp_path: Path) -> None:
    import functools

    drive(tmp_path / "run.db", [1], functools.partial(pow, 2), name="pow")
    error = problem(tmp_path / "run.db", fn=functools.partial(pow, 3), name="pow")
    assert "pow() is bound to other arguments than when run.db was written" in str(error)


def test_another_way_to_tell_inputs_apart_is_noticed(tmp_path: Path) -> None:
    drive(tmp_path / "run.db", [1], name="f")
    assert "tells inputs apart by their content, this run does it otherwise" in str(
        problem(tmp_path / "run.db", name="f", key=str)
    )


def test_a_journal_shows_what_it_is() -> None:
    assert repr(Journal("run.db")) == "<Journal run.db, buffered>"
    shown = repr(Journal("my run.db", commit="strict", key=len, accept="old", retry_failed=False))
    assert shown == "<Journal 'my run.db', strict, key=len, accept=\"old\", retry_failed=False>"
