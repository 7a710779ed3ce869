"""Bulk commands on a real Ray cluster of two nodes on this machine: the results of one process, whatever is lost."""

import json
import os
import re
import shutil
import signal
import sys
import threading
import time
from contextlib import suppress

import numpy as np
import psutil
import pytest

from crashing_transforms import CrashingEvalTransform, SlowEvalTransform
from s3_server import BUCKET, running_s3
from search.test_index_kills import assert_same, content, indexed
from side4video.cli import main
from side4video.demo.videos import write_video
from side4video.search.stores.open_store import open_store
from side4video.tasks import clips
from side4video.training.loop import train
from side4video.video.remote import video_path
from test_shared_commands import numbers_apart

cluster_utils = pytest.importorskip("ray.cluster_utils", reason="needs the extra `ray`")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray leaves sockets and processes to the interpreter
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # what Ray reports of its own insides
]

NODE = {"num_cpus": 2, "object_store_memory": 256 * 2**20}


@pytest.fixture(scope="module")
def environment():
    """Nodes and drivers find the helpers of the tests, and Ray computes with one thread."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", ":".join(path for path in sys.path if path))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("OMP_NUM_THREADS", "1")
        yield patch


@pytest.fixture
def s3(environment):
    """An object store whose credentials are in the environment of the nodes."""
    with running_s3() as variables:
        for name, value in (variables | {"AWS_ENDPOINT_URL": variables["AWS_ENDPOINT"]}).items():
            environment.setenv(name, value)
        yield f"s3://{BUCKET}"


@pytest.fixture
def cluster(environment, tmp_path):
    """Two nodes, which the commands find by RAY_ADDRESS."""
    environment.setenv("STARTED_BY", str(tmp_path))
    nodes = cluster_utils.Cluster(initialize_head=True, head_node_args=NODE | {"include_dashboard": False})
    nodes.second = nodes.add_node(**NODE)
    environment.setenv("RAY_ADDRESS", nodes.address)
    yield nodes
    nodes.shutdown()
    for process in started_by(tmp_path):  # of a node that was killed
        with suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.fixture(scope="module")
def adapters(tmp_path_factory, small_run, small_retrieval_run):
    folder = tmp_path_factory.mktemp("adapters")
    train(small_run(train={"epochs": 1}), out=folder / "recognition")
    train(small_retrieval_run(train={"epochs": 1}), out=folder / "retrieval")
    return folder


@pytest.fixture
def videos(captioned_videos, tmp_path):
    """48 short videos, three of them broken, and one of 90 seconds."""
    for place in range(6):
        copy = shutil.copytree(captioned_videos / "test", tmp_path / "set/test" / str(place))
        for path in copy.glob("*/*.mp4"):
            path.write_bytes(path.read_bytes() + bytes(place))  # decoders ignore what comes after the last atom
    for place in (1, 2, 16):
        sorted(tmp_path.glob("set/test/*/*/*.mp4"))[place].write_bytes(b"no video")
    noise = np.random.default_rng(0).integers(0, 256, (360, 8, 8, 3), np.uint8).repeat(4, 1).repeat(4, 2)
    write_video(tmp_path / "set/test/long.mp4", noise, frames_per_second=4)
    return tmp_path / "set"


def run(*arguments):
    return main(list(map(str, arguments)))


def test_videos_at_addresses(s3, cluster, adapters, captioned_videos, tmp_path, capsys):
    """The driver and the nodes read the store; results and embeddings are those of one process on files."""
    for path in sorted((captioned_videos / "test").glob("*/*.mp4")):
        (video_path(f"{s3}/test") / path.parent.name / path.name).write_bytes(path.read_bytes())
    found = {}
    for name, source in (("files", captioned_videos / "test"), ("store", f"{s3}/test")):
        engine = ["--engine", "ray" if name == "store" else "local"]
        recognition, retrieval = adapters / "recognition", adapters / "retrieval"
        assert run("predict", recognition, source, "--json", tmp_path / f"{name}.json", *engine) == 0
        assert run("embed", retrieval, source, "--out", tmp_path / f"{name}.npz", *engine) == 0
        assert run("check-data", "--data.test", source, "--out", tmp_path / f"{name}-checked", *engine) == 0
        assert run("index", source, "--to", tmp_path / name, "--model", retrieval, "--device", "cpu", *engine) == 0
        rows = json.loads((tmp_path / f"{name}.json").read_text())["predictions"]
        windows = open_store(tmp_path / name)
        paths = list(windows.files())
        means = [[window.mean for window in own] for own in windows.windows_of(paths)]
        with np.load(tmp_path / f"{name}.npz") as embedded:
            frames = embedded["frames"]
        starts = str(source)
        found[name] = ([row["classes"] for row in rows], [path.removeprefix(starts) for path in paths], means, frames)
    assert len(found["store"][1]) == 8
    assert found["store"][:2] == found["files"][:2]
    for one, other in zip(found["store"][2:], found["files"][2:], strict=True):
        assert np.array_equal(one, other)
    capsys.readouterr()
    assert run("index", f"{s3}/test", "--to", tmp_path / "store", "--engine", "ray") == 0
    assert "0 embedded, 8 unchanged" in capsys.readouterr().out


def test_ray_gives_the_results_of_one_process(cluster, adapters, videos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(videos)  # relative paths: the nodes work elsewhere
    recognition, retrieval = adapters / "recognition", adapters / "retrieval"
    commands = {
        "predicted.json": ["predict", recognition, "test", "--json"],
        "timelines.json": ["predict", recognition, "test/0", "test/long.mp4", "--timeline", "--json"],
        "ranked.json": ["predict", retrieval, "test", "--text", "a shape moves clockwise", "--json"],
        "embedded.npz": ["embed", retrieval, "test", "--text", "a star", "--out"],
        "features.npz": ["embed", recognition, "test", "--part", "both", "--out"],
        "checked": ["check-data", "--data.test", "test", "--out"],
    }
    for name, command in commands.items():
        said = {}
        for engine in ("local", "ray"):
            code = run(*command, tmp_path / f"{engine}-{name}", "--engine", engine)
            said[engine] = (code, capsys.readouterr())
        assert said["local"][0] == said["ray"][0] == 1, (name, said)
        assert_no_noise(said["ray"][1], said["local"][1])
        one, other = tmp_path / f"local-{name}", tmp_path / f"ray-{name}"
        if name.endswith(".npz"):
            with np.load(one) as first, np.load(other) as second:
                assert first.keys() == second.keys()
                assert len(first["paths"]) == 46
                for key in first:
                    if first[key].dtype.kind == "U":
                        assert first[key].tolist() == second[key].tolist()
                    else:
                        np.testing.assert_allclose(first[key], second[key], rtol=1e-4, atol=1e-5, err_msg=key)
            continue
        if name == "checked":
            for file in ("reasons.csv", "test.csv"):
                assert text(one / file, videos) == text(other / file, videos)
            continue
        numbers, others = zip(*(numbers_apart(json.loads(text(path, videos))) for path in (one, other)), strict=True)
        assert others[0] == others[1], name
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-4, abs=1e-5), name


def text(path, videos):
    """A file without the folder of relative paths: errors of FFmpeg name the path that it was given."""
    return path.read_text().replace(f"{videos}/", "")


def assert_no_noise(ray, local):
    """Ray adds no line to what a command prints; times, bars and the place of the results differ."""

    def lines(text):
        return [line.split(" (")[0] for line in re.split(r"[\r\n]", text) if line.strip() and "%|" not in line]

    assert len(lines(ray.out)) == len(lines(local.out)), ray.out
    assert lines(ray.err) == lines(local.err)


def test_a_lost_machine_loses_and_repeats_nothing(cluster, adapters, videos, tmp_path, monkeypatch):
    expected, index = tmp_path / "expected", tmp_path / "index"
    options = ["--model", adapters / "retrieval", "--device", "cpu", "--commit-seconds", "0"]
    assert run("index", videos, "--to", expected, *options, "--json", tmp_path / "expected.json") == 1
    monkeypatch.setattr(clips, "EvalTransform", SlowEvalTransform)
    killed = threading.Thread(target=kill_when_indexed, args=(cluster, index, 10))
    killed.start()
    assert run("index", videos, "--to", index, *options, "--engine", "ray", "--json", tmp_path / "index.json") == 1
    killed.join(timeout=1)
    assert cluster.second is None, "it was killed in the middle"
    assert len(cluster.list_all_nodes()) == 1
    assert_same(content(index), content(expected))
    reports = [json.loads((tmp_path / name).read_text()) for name in ("expected.json", "index.json")]
    assert [report.pop("seconds") > 0 for report in reports] == [True, True]
    assert reports[0] == reports[1]
    assert (reports[1]["embedded"], reports[1]["windows"]) == (46, 62)


def kill_when_indexed(cluster, index, number):
    """Kill the processes of the second node with SIGKILL."""
    while indexed(index) < number:
        time.sleep(0.1)
    node, cluster.second = cluster.second, None
    cluster.remove_node(node, allow_graceful=False)


def test_videos_that_crash_their_decoder_are_named(
    cluster, adapters, videos, make_video, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(clips, "EvalTransform", CrashingEvalTransform)
    white = [make_video(videos / f"white-{number}.mp4", [255] * 20) for number in range(2)]
    options = ["--model", adapters / "retrieval", "--device", "cpu", "--engine", "ray", "--to", tmp_path / "index"]
    assert run("index", videos, *options) == 1
    said = capsys.readouterr()
    assert "46 embedded, 0 unchanged, 0 moved or copied, 0 removed, 5 not read" in said.out
    for path in white:
        assert f"not read: {path}: its decoder crashed the process that read it (SIGABRT)." in said.err
    assert len(content(tmp_path / "index")[0]) == 46


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_finished_work(number, environment, adapters, videos, tmp_path, warm):
    """Ray is started by the command itself, and ends with it."""
    index, script = tmp_path / "index", tmp_path / "slow.py"
    script.write_text(
        "import sys\nfrom crashing_transforms import SlowEvalTransform\nfrom side4video.cli import main\n"
        "from side4video.tasks import clips\n"
        "if __name__ == '__main__':\n    clips.EvalTransform = SlowEvalTransform\n    sys.exit(main(sys.argv[1:]))\n"
    )
    command = ["index", videos, "--to", index, "--model", adapters / "retrieval", "--device", "cpu", "--engine", "ray"]
    started = warm.start(
        *command,
        "--commit-seconds",
        "0",
        script=script,
        environment={"RAY_ADDRESS": "", "PYTHONPATH": os.environ["PYTHONPATH"]},
    )
    deadline = time.monotonic() + 180
    while indexed(index) < 5:
        assert time.monotonic() < deadline, started.said()
        time.sleep(0.1)
    started.send_signal(number)
    code, said = started.finish()
    assert code == 128 + number, said
    assert f"Stopped by {number.name}. Finished work is saved" in said
    done = len(content(index)[0])
    assert 5 <= done < 46
    assert run(*command[:-2]) == 1
    assert len(content(index)[0]) == 46


class EndsItsProcess:
    """A model that crashes at item 3."""

    def on_device(self, name):
        return self

    def __call__(self, items):
        for item in items:
            if item == 3:
                signal.raise_signal(signal.SIGKILL)
            yield item, item


class Raises(EndsItsProcess):
    def __call__(self, items):
        for item in items:
            if item == 3:
                raise FloatingPointError("item 3 is not finite")
            yield item, item


@pytest.mark.parametrize(
    ("compute", "error", "message"),
    [
        (Raises(), FloatingPointError, "item 3 is not finite"),
        (EndsItsProcess(), RuntimeError, "Ray could not finish the work: .*A process with the model ended 5 times"),
    ],
)
def test_errors_of_the_model_end_the_run(compute, error, message, cluster):
    from side4video.distributed.ray_engine import connected_to_ray, map_on_ray

    with connected_to_ray(device="cpu") as workers, pytest.raises(error, match=message):
        list(map_on_ray(list(range(8)), workers=workers, num_results=8, compute=compute))


def test_no_process_of_ray_is_left(environment, adapters, videos, tmp_path):
    """A command that started Ray itself ends it."""
    environment.delenv("RAY_ADDRESS", raising=False)
    environment.setenv("STARTED_BY", str(tmp_path))
    assert run("predict", adapters / "recognition", videos / "test/0", "--engine", "ray") == 1
    deadline = time.monotonic() + 60
    while started_by(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert started_by(tmp_path) == []


def started_by(path):
    """Processes other than this one that have the path in their environment."""
    found = []
    for process in psutil.process_iter(["environ", "status"]):
        environment = process.info["environ"] or {}
        if (
            process.pid != os.getpid()
            and environment.get("STARTED_BY") == str(path)
            and process.info["status"] != psutil.STATUS_ZOMBIE
        ):
            found.append(process)
    return found
