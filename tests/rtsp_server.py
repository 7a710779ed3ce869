"""A small RTSP server on loopback: RTP packets that FFmpeg sends to its UDP port go to the player over TCP."""

import contextlib
import socket
import socketserver
import threading

SDP = b"""v=0
o=- 0 0 IN IP4 127.0.0.1
s=live
t=0 0
m=video 0 RTP/AVP 96
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1
a=control:video
"""


class RtspServer(socketserver.ThreadingTCPServer):
    """Use it as a context manager. `rtp_address` takes the packets; `playing` is set while a player receives them."""

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Player)
        self.address = f"rtsp://127.0.0.1:{self.server_address[1]}/live"
        self.packets = socket.socket(type=socket.SOCK_DGRAM)
        self.packets.bind(("127.0.0.1", 0))
        self.rtp_address = f"rtp://127.0.0.1:{self.packets.getsockname()[1]}"
        self.playing, self.player = threading.Event(), None

    def __enter__(self):
        for work in (self.serve_forever, self._forward):
            threading.Thread(target=work, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stop()
        self.packets.close()

    def stop(self):
        """Accept no more players, and break the connection of this one."""
        self.shutdown()
        self.server_close()
        self.drop_player()

    def drop_player(self):
        """Break the player's connection, as a camera that restarts does."""
        player, self.player = self.player, None
        self.playing.clear()
        if player is not None:
            with contextlib.suppress(OSError):
                player.shutdown(socket.SHUT_RDWR)

    def _forward(self):
        with contextlib.suppress(OSError):  # closed
            while True:
                content = self.packets.recv(65536)
                if (player := self.player) is not None:
                    with contextlib.suppress(OSError):
                        player.sendall(b"$\0" + len(content).to_bytes(2) + content)  # on the interleaved channel 0


class _Player(socketserver.StreamRequestHandler):
    def handle(self):
        with contextlib.suppress(OSError):
            while first := self.rfile.read(1):
                if first == b"$":  # the player's reports about what it received
                    self.rfile.read(int.from_bytes(self.rfile.read(3)[1:]))
                else:
                    self.answer(first + self.rfile.readline())

    def answer(self, line):
        method, headers = line.decode().split()[0], {}
        while line := self.rfile.readline().strip().decode():
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        body = SDP.replace(b"\n", b"\r\n") if method == "DESCRIBE" else b""
        lines = ["RTSP/1.0 200 OK", f"CSeq: {headers['cseq']}", "Session: 1", f"Content-Length: {len(body)}"]
        lines += ["Content-Type: application/sdp"] * (method == "DESCRIBE")
        lines += ["Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"] * (method == "OPTIONS")
        lines += ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1"] * (method == "SETUP")
        self.wfile.write("\r\n".join([*lines, "", ""]).encode() + body)
        if method == "PLAY":
            self.server.player = self.connection
            self.server.playing.set()
