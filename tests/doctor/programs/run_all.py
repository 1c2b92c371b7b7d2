"""Runs programs one after the other, and writes the seconds that each took to the file named first."""

import json
import runpy
import sys
import time
import urllib.request  # noqa: F401

import aiohttp  # noqa: F401
import flask  # noqa: F401
import httpx  # noqa: F401
import requests  # noqa: F401
import sqlalchemy.orm  # noqa: F401

import whilst

sys.dont_write_bytecode = True
whilst.map(time.sleep, [0.001, 0.001]).list()  # what whilst loads at its first use is not part of anybody's time
whilst.together(len, len)("x")

report, *paths = sys.argv[1:]
took = {}
while paths:  # no `for` in which a program waits: the doctor would speak of it, and rightly
    path = paths.pop(0)
    began = time.monotonic()
    runpy.run_path(path, run_name="__main__")
    took[path] = time.monotonic() - began
with open(report, "w") as file:
    json.dump(took, file)
