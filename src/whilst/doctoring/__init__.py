"""The doctor: which line holds the loop, and which waits could overlap.

How it finds out, on one page.

**Rounds.** An event loop asks its selector for events, runs what is ready, and asks again; the time from one answer
to the next question is one *round*, in which nothing else on that loop can run. `pulse` puts a wrapper around the
`select` of each loop that starts (`asyncio._set_running_loop` says which), which notes both times: half a microsecond
a round, and durations that do not depend on anybody having looked. uvloop has no selector to wrap: there a timer of 5
ms is the heartbeat; a round began after the last beat and before the next one was due, which the looks make more
exact.

**Looks.** A thread of its own (`watch`), not seen in `threading.enumerate()`, looks 200 times a second. A loop in a
round gets its stack read. Which callback of the round it is in is told by the counter in `_run_once` (uvloop: by the
task), so a round of a thousand short callbacks is not taken for a long one (`rounds`). A call that keeps the GIL
stops the looks as well; it lets go of it where it returns, still on the same line, so the late look finds the
culprit, and that the look was late, though the processor was free, is the evidence that it was the GIL. If the loop's
own thread has not run meanwhile and kept asking, it was another thread: then what counts is that one's stack. Each
look that read files, for which it lets others have the GIL, has a look right behind it if that took long.

**Waiting or computing.** `/proc/self/task/<tid>/schedstat` counts nanoseconds on a processor and in the queue for one
(`lanes/clock`). A thread that waits has neither, however busy other processes keep the machine.

**Waits.** While a loop is idle, the chain of coroutines of each of its tasks is walked; of other threads that wait,
the stack. What waits where is added up in a tree of the user's own lines (`waits`). Whether two looks saw the same
call is told by a mark left in `f_trace` of the called frame, which only tracers use: so calls are counted and the
longest is known, though nothing is traced. Looks take at most 2 % of the time: what makes them dear makes them rare.

**Reading.** Everything else happens when the program is over. `source` finds the expression that was running
(`co_positions`), `loops` goes out to the `for` or comprehension around it and asks whether an argument comes from the
loop's variable and none from the turn before, `effects` whether what it calls leaves something for the next turn,
`held` and `overlap` say what was found, `rewrite` writes the line that does better, `report` prints it.

**The command** (`program`, `supervise`, `blackbox`) forks before it runs the program. The child is the program; the
parent waits, passes signals on and prints when the program is gone, however it went: looks are kept in memory that
both share. No handler, no `atexit`, no patched `os._exit` is needed in the program, and no descriptor that it could
close.
"""

from __future__ import annotations
