"""A disk that forgets: an NBD server whose write cache is lost when the power goes.

What was written since the last flush lies in memory, every version of every 4 KiB block. At the cut each block gets one
of its versions by chance, or stays as it was: so blocks are lost, torn apart from their neighbours and out of order,
which is what disks do that have a cache. A flush, and a write with FUA, is on the disk when it is answered.

Protocol: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md, fixed newstyle, simple replies.
"""

import os
import random
import socket
import struct
import threading

BLOCK = 4096
_MAGIC, _OPTION, _REPLY = b"NBDMAGIC", b"IHAVEOPT", 0x3E889045565A9
_REQUEST, _ANSWER = 0x25609513, 0x67446698
_EXPORT_NAME, _ABORT, _INFO, _GO = 1, 2, 6, 7
_ACK, _INFORMATION, _UNSUPPORTED = 1, 3, (1 << 31) + 1
_READ, _WRITE, _DISCONNECT, _FLUSH, _FUA = 0, 1, 2, 3, 1
_FLAGS = 1 | 4 | 8  # has flags, takes flushes, takes FUA


class VolatileDisk:
    """Serves *path* (a file of whole blocks) at the unix socket *address* until ``cut`` or ``close``."""

    def __init__(self, path: str, address: str) -> None:
        self.address = address
        self._size = os.path.getsize(path)
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._cache: dict[int, list[bytes]] = {}
        self._lock = threading.Lock()
        self.dead = False
        self._connections: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(address)
        self._listener.listen(4)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, chance: random.Random) -> tuple[int, int]:
        """The power goes: (blocks that were not flushed, those of them that are lost). Nothing is served any more."""
        with self._lock:
            self.dead = True
            kept = chance.choice((0.0, 0.3, 0.7, 0.95))
            lost = 0
            for block, versions in self._cache.items():
                if chance.random() < kept:
                    os.pwrite(self._file, chance.choice(versions), block * BLOCK)
                else:
                    lost += 1
            total = len(self._cache)
            self._cache.clear()
        self._end()
        return total, lost

    def close(self) -> None:
        """An orderly end: everything is kept."""
        with self._lock:
            self.dead = True
            self._flush()
        self._end()

    def _end(self) -> None:
        self._listener.close()
        for connection in self._connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        os.unlink(self.address)

    # the disk

    def _read(self, offset: int, length: int) -> bytes:
        first, last = offset // BLOCK, (offset + length - 1) // BLOCK
        data = bytearray(os.pread(self._file, (last - first + 1) * BLOCK, first * BLOCK))
        for block in range(first, last + 1):
            if versions := self._cache.get(block):
                start = (block - first) * BLOCK
                data[start : start + BLOCK] = versions[-1]
        start = offset - first * BLOCK
        return bytes(data[start : start + length])

    def _write(self, offset: int, data: bytes, through: bool) -> None:
        first, last = offset // BLOCK, (offset + len(data) - 1) // BLOCK
        whole = bytearray(self._read(first * BLOCK, (last - first + 1) * BLOCK))
        start = offset - first * BLOCK
        whole[start : start + len(data)] = data
        for block in range(first, last + 1):
            piece = bytes(whole[(block - first) * BLOCK : (block - first + 1) * BLOCK])
            if through:
                self._cache.pop(block, None)
                os.pwrite(self._file, piece, block * BLOCK)
            else:
                self._cache.setdefault(block, []).append(piece)

    def _flush(self) -> None:
        for block, versions in self._cache.items():
            os.pwrite(self._file, versions[-1], block * BLOCK)
        self._cache.clear()

    # the protocol

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                if self._agree(connection):
                    while self._answer(connection):
                        pass
        except (OSError, EOFError):
            return  # the other side has gone, or the power

    def _agree(self, connection: socket.socket) -> bool:
        connection.sendall(_MAGIC + _OPTION + struct.pack(">H", 1))
        _receive(connection, 4)
        while True:
            _, option, length = struct.unpack(">8sII", _receive(connection, 16))
            _receive(connection, length)
            if option == _EXPORT_NAME:
                connection.sendall(struct.pack(">QH", self._size, _FLAGS) + bytes(124))
                return True
            if option in (_INFO, _GO):
                export = struct.pack(">HQH", 0, self._size, _FLAGS)
                _reply(connection, option, _INFORMATION, export)
                _reply(connection, option, _ACK)
                if option == _GO:
                    return True
            elif option == _ABORT:
                _reply(connection, option, _ACK)
                return False
            else:
                _reply(connection, option, _UNSUPPORTED)

    def _answer(self, connection: socket.socket) -> bool:
        magic, flags, kind, handle, offset, length = struct.unpack(">IHH8sQI", _receive(connection, 28))
        if magic != _REQUEST or kind == _DISCONNECT:
            return False
        data = _receive(connection, length) if kind == _WRITE else b""
        with self._lock:
            if self.dead:
                return False
            if kind == _READ:
                data = self._read(offset, length)
            elif kind == _WRITE:
                self._write(offset, data, bool(flags & _FUA))
                data = b""
            elif kind == _FLUSH:
                self._flush()
        error = 0 if kind in (_READ, _WRITE, _FLUSH) else 22
        connection.sendall(struct.pack(">II8s", _ANSWER, error, handle) + data)
        return True


def _receive(connection: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        piece = connection.recv(min(length - len(data), 1 << 20))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)


def _reply(connection: socket.socket, option: int, kind: int, data: bytes = b"") -> None:
    connection.sendall(struct.pack(">QIII", _REPLY, option, kind, len(data)) + data)
