"""They run already; the loop only gathers them in."""

import multiprocessing
import subprocess
import time

running = [subprocess.Popen(["sleep", str(0.1 + 0.05 * i)]) for i in range(5)]
for process in running:
    process.wait()
outputs = [subprocess.Popen(["sleep", str(0.1 + 0.05 * i)], stdout=subprocess.PIPE) for i in range(5)]
said = [process.communicate() for process in outputs]
workers = [multiprocessing.get_context("fork").Process(target=time.sleep, args=(0.1 + 0.05 * i,)) for i in range(5)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
