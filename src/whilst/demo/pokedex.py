"""What does the demo API know? 1,351 Pokémon, their types and stats, as JSON documents encoded once.

The data and their licence: `data/pokemon.jsonl`, `data/NOTICE.md`. Needs no server, so `names` and `sample` can
be had from here without the extra `demo`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from random import Random
from typing import Any
from urllib.parse import urlencode

import msgspec

BASE = "{base}"  # stands in the documents where the scheme, host and path go that a client used

# Both in the order of their ids on pokeapi.co, from 1.
TYPES: Sequence[str] = """
    normal fighting flying poison ground rock bug ghost steel
    fire water grass electric psychic ice dragon dark fairy
""".split()  # noqa: SIM905 - a table of words reads better than a list of eighteen literals
STATS = ["hp", "attack", "defense", "special-attack", "special-defense", "speed"]


def names() -> list[str]:
    """Return the names of all 1,351 Pokémon, by id: the 1,025 species, then alternative forms.

    >>> names()[:3]
    ['bulbasaur', 'ivysaur', 'venusaur']
    """
    return list(collections()["pokemon"].ids)


def sample(n: int, seed: int | None = None) -> list[str]:
    """Return `n` names in random order, the same for the same seed (None: others each time).

    They are distinct up to 1,351; beyond, each comes as often as any other, give or take one. Raises
    ValueError when `n` is negative.

    >>> len(set(sample(20, seed=1)))
    20
    """
    if n < 0:
        raise ValueError(f"n must be at least 0, got {n}")
    everyone, random = names(), Random(seed)
    rounds, rest = divmod(n, len(everyone))
    chosen = everyone * rounds + random.sample(everyone, rest)
    random.shuffle(chosen)
    return chosen


@dataclass(frozen=True, slots=True)
class Collection:
    """The entries of one kind: their ids by name, and their documents by both, encoded once."""

    name: str
    ids: dict[str, int]
    documents: dict[str, bytes]

    def page(self, base: str, limit: int, offset: int) -> dict[str, Any]:
        """Return `limit` entries from `offset` on, with the URLs of the pages beside it."""
        end = offset + limit
        return {
            "count": len(self.ids),
            "next": self._page_url(base, limit, end) if end < len(self.ids) else None,
            "previous": self._page_url(base, limit, max(0, offset - limit)) if offset > 0 else None,
            "results": [_link(self.name, name, id, base) for name, id in list(self.ids.items())[offset:end]],
        }

    def _page_url(self, base: str, limit: int, offset: int) -> str:
        return f"{base}/{self.name}?{urlencode({'offset': offset, 'limit': limit})}"


@functools.cache
def collections() -> dict[str, Collection]:
    """Return all the API knows, by the name of its collection; encoded at the first call (about 30 ms)."""
    file = resources.files("whilst.demo") / "data" / "pokemon.jsonl"
    pokemon = msgspec.json.Decoder(_Pokemon).decode_lines(file.read_bytes())
    return {
        "pokemon": _collection("pokemon", map(_pokemon_document, pokemon)),
        "stat": _collection("stat", ({"id": id, "name": name} for id, name in enumerate(STATS, 1))),
        "type": _collection("type", (_type_document(name, pokemon) for name in TYPES)),
    }


@dataclass(frozen=True, slots=True)
class _Pokemon:
    """A line of the data."""

    id: int
    name: str
    height: int
    weight: int
    base_experience: int | None
    types: list[str]
    stats: dict[str, int]


def _collection(name: str, documents: Iterable[dict[str, Any]]) -> Collection:
    ids: dict[str, int] = {}
    encoded: dict[str, bytes] = {}
    encode = msgspec.json.Encoder().encode
    for document in documents:
        ids[document["name"]] = document["id"]
        encoded[document["name"]] = encoded[str(document["id"])] = encode(document)
    return Collection(name, ids, encoded)


def _pokemon_document(it: _Pokemon) -> dict[str, Any]:
    return {
        "id": it.id,
        "name": it.name,
        "base_experience": it.base_experience,
        "height": it.height,
        "weight": it.weight,
        "stats": [
            {"base_stat": value, "effort": 0, "stat": _link("stat", name, STATS.index(name) + 1)}
            for name, value in it.stats.items()
        ],
        "types": [
            {"slot": slot, "type": _link("type", name, TYPES.index(name) + 1)} for slot, name in enumerate(it.types, 1)
        ],
    }


def _type_document(name: str, pokemon: list[_Pokemon]) -> dict[str, Any]:
    bearers = [
        {"slot": it.types.index(name) + 1, "pokemon": _link("pokemon", it.name, it.id)}
        for it in pokemon
        if name in it.types
    ]
    return {"id": TYPES.index(name) + 1, "name": name, "pokemon": bearers}


def _link(collection: str, name: str, id: int, base: str = BASE) -> dict[str, str]:
    return {"name": name, "url": f"{base}/{collection}/{id}/"}
