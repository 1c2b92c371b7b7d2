"""The peers, side by side: `python -m bench` (see `bench/README.md`)."""
