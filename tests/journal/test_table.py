"""The table says what a dict would, however many keys there are, and takes an eighth of the memory."""

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from whilst.journal import table
from whilst.journal.table import NOWHERE, Table

GROWN = """
from random import Random
from whilst.journal import table
from whilst.journal.table import Table
table.DICT = 1000
def resident():
    return 1024 * next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS"))
random, tested = Random(1), Table()
tested.expect(600_000)
before = resident()
for _ in range(0, 600_000, 4000):
    tested.put([random.getrandbits(60) for _ in range(4000)], 3)
assert len(tested) == 600_000
print(resident() - before)
"""


@pytest.mark.parametrize("seed", range(40))
def test_a_table_says_what_a_dict_would(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "DICT", 30)
    monkeypatch.setattr(table, "BITS", 6)
    random, tested, told = Random(seed), Table(), dict[int, int | None]()
    keys = [random.getrandbits(60) if random.random() < 0.3 else random.randrange(900) * 256 for _ in range(400)]
    if seed % 2:
        tested.expect(100)
    for _ in range(80):
        some = random.choices(keys, k=random.randrange(1, 30))
        if random.random() < 0.4:
            block, distinct = random.randrange(100_000), list(dict.fromkeys(some))
            before = {told[key] for key in distinct if key in told}
            assert tested.put(distinct, block) == before
            told.update(dict.fromkeys(distinct, block))
        else:
            before_each = [(told.get(key, NOWHERE), told.update({key: None}))[0] for key in some]
            assert tested.see(some) == before_each
        assert len(tested) == len(told)


@pytest.mark.parametrize("step", [1, 2**20, 2**24, 10**9])
def test_ints_in_a_row_or_at_steps_spread(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were they to lie side by side, a look would go past all of them, and this would not end."""
    monkeypatch.setattr(table, "DICT", 1000)
    tested, keys = Table(), [number * step for number in range(table.DICT + 50_000)]
    for at in range(0, len(keys), 1024):
        assert set(tested.see(keys[at : at + 1024])) == {NOWHERE}
    assert set(tested.see(keys)) == {None}


def test_the_dict_takes_all_that_fits_and_does_not_grow_for_the_last_keys() -> None:
    known: dict[int, None] = {}
    for at in range(0, table.DICT - 1024, 1024):
        known.update(dict.fromkeys(range(at, at + 1024)))
    before = sys.getsizeof(known)
    known.update(dict.fromkeys(range(len(known), table.DICT)))
    assert len(known) == table.DICT
    assert sys.getsizeof(known) == before
    known.update(dict.fromkeys(range(table.DICT, table.DICT + 1024)))
    assert sys.getsizeof(known) > before


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="what a process has is told by /proc")
def test_many_keys_take_a_few_bytes_each() -> None:
    done = subprocess.run([sys.executable, "-c", GROWN], capture_output=True, text=True, check=True, timeout=100)
    assert int(done.stdout) < 20 * 600_000  # a dict of them takes 85 each
