"""An S3 server on this machine (moto), with one bucket in memory; as a script it is that server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

BUCKET = "bucket"


@contextmanager
def running_s3() -> Iterator[dict[str, str]]:
    """Start one; yields the environment variables of a process that uses it."""
    process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield {
            "AWS_ENDPOINT": f"http://127.0.0.1:{int(process.stdout.readline())}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": "us-east-1",
        }
    finally:
        process.stdin.close()
        process.wait(timeout=60)
        process.stdout.close()


def serve() -> None:
    """Print the port, and serve until standard input ends."""
    import logging

    import httpx
    from moto.server import ThreadedMotoServer
    from werkzeug.serving import WSGIRequestHandler

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    WSGIRequestHandler.disable_nagle_algorithm = True  # else content waits 40 ms for the acknowledgement of headers
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    port = server.get_host_and_port()[1]
    httpx.put(f"http://127.0.0.1:{port}/{BUCKET}").raise_for_status()
    print(port, flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    serve()
