"""One warm process for all tests that need runs in processes of their own."""

import pytest

from side4video.config import dump_config
from training.warm_process import WarmProcess


@pytest.fixture(scope="session")
def warm(tmp_path_factory):
    with WarmProcess(tmp_path_factory.mktemp("warm") / "log.txt") as process:
        yield process


@pytest.fixture
def recipe(small_run, tmp_path):
    """`recipe(**groups)` writes the settings of the small run to a file, and gives its path."""

    def write(**groups):
        path = tmp_path / "run.yaml"
        path.write_text(dump_config(small_run(**groups)), encoding="utf-8")
        return path

    return write
