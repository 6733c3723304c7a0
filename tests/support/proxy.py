"""A bad network: a TCP proxy that cuts, swallows and delays."""

import random
import socket
import struct
import threading
import time
from types import TracebackType
from typing import Self

_CHUNK = 4096
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no seconds: close() sends a reset."""


class BadNetwork:
    """Passes connections on to a port of this machine, as badly as one wants.

    Args:
        target: the port.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self.swallows = False
        """Whether what is sent now is lost: the connection stays, and nothing arrives."""
        self.delay = 0.0
        """Seconds before anything is passed on."""
        self.resets = 0
        """Connections that were cut so far."""
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.close()
        self.reset()

    def reset(self) -> None:
        """Cut all connections, in the middle of whatever they carry."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            self.resets += 1
            for each in pair:
                _cut(each)

    def misbehave(self, seconds: float, rng: random.Random) -> None:
        """Cut, swallow and delay at random for a while."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(rng.uniform(0.02, 0.4))
            match rng.randrange(4):
                case 0 | 1:
                    self.reset()
                case 2:
                    # What was swallowed is gone for good, so the connection has to go as well.
                    self.swallows = True
                    time.sleep(rng.uniform(0.05, 0.3))
                    self.reset()
                    self.swallows = False
                case 3:
                    self.delay = rng.uniform(0.0, 0.2)
        self.delay = 0.0

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target), timeout=5)
                far.settimeout(None)
            except OSError:
                _cut(near)
                continue
            with self._lock:
                self._pairs.append((near, far))
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(_CHUNK):
                if self.delay:
                    time.sleep(self.delay)
                if not self.swallows:
                    sink.sendall(data)
        except OSError:
            pass
        _cut(sink)


def _cut(end: socket.socket) -> None:
    try:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    end.close()
