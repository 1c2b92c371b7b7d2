"""Messages are handled in their order and acknowledged."""

import time


class Consumer:
    def __init__(self):
        self.offset = 0

    def __iter__(self):
        yield from range(6)

    def commit(self, message):
        time.sleep(0.01)
        self.offset = message


def handle(message):
    time.sleep(0.04)


consumer = Consumer()
for message in consumer:
    handle(message)
    consumer.commit(message)
