"""A module of the user's, with a line that holds the loop of whoever calls it."""

import time


def nap():
    time.sleep(0.08)  # HOLDS elsewhere
