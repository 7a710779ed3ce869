"""Settings of runs in processes of their own."""

import pytest

from side4video.config import dump_config


@pytest.fixture
def recipe(small_run, tmp_path):
    """`recipe(**groups)` writes the settings of the small run to a file, and gives its path."""

    def write(**groups):
        path = tmp_path / "run.yaml"
        path.write_text(dump_config(small_run(**groups)), encoding="utf-8")
        return path

    return write
