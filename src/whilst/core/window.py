"""How far may a run read ahead of its consumer?

A run may have started at most `size` inputs that were not delivered yet. The window begins at the run's concurrency
(or below it, where the concurrency adapts itself) and doubles only when it is proven to be the bottleneck: the
consumer ran dry while lanes stood idle for want of room. So a slow consumer stays `concurrency` behind, a fast one
gets batches that pay for the wake-ups (measured: 4.4 µs an input with a window of 100, 1.4 with 1,024).
"""

LEAST_CAP = 1024
CAP_PER_LANE = 8


class Window:
    """The run-ahead window: inputs below `limit` may start."""

    __slots__ = ("cap", "delivered", "size")

    def __init__(self, concurrency: int, start: int | None = None) -> None:
        self.size: int = concurrency if start is None else start
        self.cap: int = max(LEAST_CAP, CAP_PER_LANE * concurrency)
        self.delivered: int = 0  # written by the consumer alone, perhaps on another thread

    def resize(self, concurrency: int) -> None:
        """Hold to another concurrency: what it needs may start, and what has started may be far ahead of less."""
        self.size = max(self.size, concurrency)
        self.cap = max(self.cap, CAP_PER_LANE * concurrency)

    @property
    def limit(self) -> int:
        """The first index that may not start yet."""
        return self.delivered + self.size

    @property
    def refill_at(self) -> int:
        """How many must be delivered before reading on is worth a wake-up while lanes still have work."""
        return self.delivered + (self.size + 1) // 2

    def grow(self) -> None:
        """Double: the consumer ran dry while lanes were idle for want of room."""
        self.size = min(self.cap, self.size * 2)
