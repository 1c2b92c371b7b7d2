"""Where calls happen: coroutine lanes on a loop, or threads of the run's own."""
