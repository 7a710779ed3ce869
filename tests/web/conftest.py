"""The index, the server and a client of it that the tests of this folder share."""

import httpx
import pytest

from side4video.inference.predictor import Predictor
from side4video.training.loop import train
from web.small_server import TIMEOUT_SECONDS, make_index, running_server


@pytest.fixture(scope="session")
def adapter(tmp_path_factory, small_retrieval_run):
    """A run folder with a retrieval adapter of random weights, trained for a step or two."""
    run = tmp_path_factory.mktemp("web-adapter") / "run"
    train(small_retrieval_run(train={"epochs": 1}), out=run)
    return run


@pytest.fixture(scope="session")
def classifier_run(tmp_path_factory, small_run):
    """The same for recognition."""
    run = tmp_path_factory.mktemp("web-classifier") / "run"
    train(small_run(train={"epochs": 1}), out=run)
    return run


@pytest.fixture(scope="session")
def indexed(tmp_path_factory, adapter, captioned_videos):
    return make_index(tmp_path_factory.mktemp("web"), adapter, captioned_videos)


@pytest.fixture(scope="session")
def server(indexed, classifier_run):
    """One server for all tests that change nothing: its address and its service."""
    index = indexed.open()
    with running_server(
        index, classifier=Predictor(classifier_run, device="cpu"), max_upload_bytes=2**20, decode_seconds=60
    ) as running:
        yield running
    index.close()


@pytest.fixture(scope="session")
def address(server):
    return server[0]


@pytest.fixture(scope="session")
def service(server):
    return server[1]


@pytest.fixture(scope="session")
def client(address):
    with httpx.Client(base_url=address, timeout=TIMEOUT_SECONDS) as client:
        yield client
