"""Which ports are open? Each is asked with a wait of its own."""

import socket
import socketserver
import threading
import time


class Slow(socketserver.BaseRequestHandler):
    def handle(self):
        time.sleep(0.05)
        self.request.sendall(b"220 ready")


servers = [socketserver.ThreadingTCPServer(("127.0.0.1", 0), Slow) for _ in range(5)]
for server in servers:
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()


def banner(address):
    with socket.create_connection(address, timeout=5) as connection:
        return connection.recv(100)


banners = []
for address in [server.server_address for server in servers]:
    banners.append(banner(address))  # HERE
assert banners == [b"220 ready"] * 5
