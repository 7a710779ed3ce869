"""Runs at addresses: uploads that are cut off at every request, outages, two owners, kills, and the same results."""

import json
import random
import shutil
import signal
import time
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from upath import UPath
from upath.registry import register_implementation

from s3_server import BUCKET, running_s3
from side4video import train
from side4video.config import ConfigError
from side4video.training.checkpoint import CHECKPOINT, PREVIOUS
from side4video.training.run_mirror import RunMirror, RunTakenOverError
from side4video.training.temporary_folder import remove_abandoned_folders
from side4video.video import remote
from side4video.video.remote import is_address, video_path
from warm_process import wait_until


class FailingStore(MemoryFileSystem):
    """A store in memory that is out of order during some requests.

    Attributes:
        down: the numbers of the requests that fail.
        is_atomic: a file whose upload fails keeps its old content, as in object stores; otherwise it is cut off.
        more_names: names that a listing contains although nothing has them.
    """

    protocol = "failing"
    store, pseudo_dirs = {}, [""]
    requests, down, is_atomic, more_names = 0, range(0), True, ()

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(str(path).removeprefix("failing://"))

    def find(self, path, **options):
        return [*super().find(path, **options), *self.more_names]

    def _ask(self):
        FailingStore.requests += 1
        if FailingStore.requests in FailingStore.down:
            raise ConnectionError("the store does not answer")

    def put_file(self, lpath, rpath, **_):
        content = Path(lpath).read_bytes()
        try:
            self._ask()
        except ConnectionError:
            if not self.is_atomic:
                super().pipe_file(rpath, content[: len(content) // 2])
            raise
        super().pipe_file(rpath, content)

    def pipe_file(self, path, value, **options):
        self._ask()
        super().pipe_file(path, value, **options)

    def cat_file(self, path, **options):
        self._ask()
        return super().cat_file(path, **options)

    def cp_file(self, path1, path2, **options):
        self._ask()
        super().cp_file(path1, path2, **options)


fsspec.register_implementation("failing", FailingStore, clobber=True)
register_implementation("failing", UPath, clobber=True)


@pytest.fixture(autouse=True)
def store(monkeypatch):
    """The store, empty and in order; requests are repeated without pauses."""
    monkeypatch.setattr(remote, "_pause", lambda _seconds: None)
    FailingStore.store.clear()
    FailingStore.pseudo_dirs[:] = [""]
    FailingStore.requests, FailingStore.down, FailingStore.is_atomic, FailingStore.more_names = 0, range(0), True, ()
    return FailingStore


def write_step(folder, step):
    """What a run writes at a checkpoint."""
    (folder / "log.jsonl").write_text("line\n" * step)
    (folder / "best").mkdir(exist_ok=True)
    (folder / "best/model.safetensors").write_text(f"weights {step:04d}")
    if (folder / CHECKPOINT).exists():
        (folder / CHECKPOINT).replace(folder / PREVIOUS)
    (folder / CHECKPOINT).write_text(f"checkpoint {step:04d}")


def downloaded(folder):
    folder.mkdir()
    RunMirror(video_path("failing://run"), folder).download()
    return folder


def intact_step(folder):
    """The step of the newest checkpoint that is not cut off."""
    for name in (CHECKPOINT, PREVIOUS):
        if (folder / name).exists() and len(text := (folder / name).read_text()) == len("checkpoint 0001"):
            return int(text.split()[1])
    return 0


@pytest.mark.parametrize("is_atomic", [True, False])
@pytest.mark.parametrize("down", range(1, 20))
def test_an_upload_that_is_cut_off_leaves_an_intact_checkpoint(store, tmp_path, down, is_atomic):
    store.is_atomic = is_atomic
    here = tmp_path / "here"
    here.mkdir()
    mirror, uploaded = RunMirror(video_path("failing://run"), here), 0
    mirror.claim()
    store.down = range(down + 1, 10**9)  # and the process is killed before the store works again
    for step in range(1, 4):
        write_step(here, step)
        mirror.upload()
        if mirror.problem:
            break
        uploaded = step
    there = downloaded(tmp_path / "there")
    assert intact_step(there) >= uploaded
    if is_atomic and intact_step(there):
        assert (there / "log.jsonl").read_text().count("line") >= intact_step(there)


def test_an_outage_is_made_up_for(store, tmp_path, capsys):
    here = tmp_path / "here"
    here.mkdir()
    mirror = RunMirror(video_path("failing://run"), here)
    mirror.claim()
    store.down = range(0, 10**9)
    write_step(here, 1)
    mirror.upload()
    assert "run lacks the newest files" in capsys.readouterr().out
    assert "does not answer" in mirror.problem
    store.down = range(0)
    write_step(here, 2)
    mirror.upload()
    assert not mirror.problem
    there = downloaded(tmp_path / "there")
    assert (there / CHECKPOINT).read_text() == "checkpoint 0002"
    assert not (there / ".hidden").exists()


def test_a_corrupt_checkpoint_does_not_replace_the_previous_one(store, tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    first = RunMirror(video_path("failing://run"), here)
    first.claim()
    for step in (1, 2):
        write_step(here, step)
        first.upload()
    video_path("failing://run").joinpath(CHECKPOINT).write_text("cut")
    second = RunMirror(video_path("failing://run"), downloaded(tmp_path / "second"))
    second.download()
    second.claim()
    (tmp_path / "second" / CHECKPOINT).write_text("checkpoint 0002")
    store.down = range(store.requests + 2, 10**9)  # after the question for the owner
    second.upload(newest_is_corrupt=True)
    assert second.problem
    store.down = range(0)
    assert intact_step(downloaded(tmp_path / "third")) == 1


def test_the_last_owner_alone_writes(tmp_path):
    folders = [tmp_path / "one", tmp_path / "other"]
    mirrors = []
    for folder in folders:
        folder.mkdir()
        mirrors.append(RunMirror(video_path("failing://run"), folder))
        mirrors[-1].claim()
        write_step(folder, len(mirrors))
    with pytest.raises(RunTakenOverError, match=r"now belongs to process \d+ on .*, which resumed the run"):
        mirrors[0].upload()
    mirrors[0].upload()  # at the end of the process: nothing
    mirrors[1].upload()
    assert (downloaded(tmp_path / "there") / CHECKPOINT).read_text() == "checkpoint 0002"


@pytest.mark.parametrize("name", ["../escaped", "best/../../escaped", "best\\..\\..\\escaped"])
def test_a_name_that_leads_out_of_the_folder_is_refused(store, tmp_path, name):
    store.more_names = (f"/run/{name}",)
    with pytest.raises(ValueError, match="leads out of the run folder"):
        downloaded(tmp_path / "inside")
    assert not list((tmp_path / "inside").iterdir())


@pytest.fixture(scope="module")
def here(small_run, tmp_path_factory):
    """A run in a folder."""
    folder = tmp_path_factory.mktemp("run") / "here"
    train(small_run(), out=folder)
    return folder


def weights(place):
    return [(place / name / "model.safetensors").read_bytes() for name in ("last", "best")]


def test_a_run_with_an_outage_equals_one_in_a_folder(store, small_run, here, capsys):
    store.down = range(6, 14)
    result = train(small_run(), out="failing://run")
    assert "lacks the newest files" in capsys.readouterr().out
    assert result.folder == video_path("failing://run")
    assert weights(result.folder) == weights(here)
    names = {path.relative_to(here).as_posix() for path in here.rglob("*") if path.is_file()}
    there = {key.removeprefix("/run/") for key in FailingStore().find("/run")}
    expected = {name for name in names if not name.startswith("frame-tables")} - {PREVIOUS}
    assert there - {"owner.json"} == expected  # the only checkpoint before the outage was not uploaded
    with pytest.raises(ConfigError, match=r"failing:/+run already contains a run"):
        train(small_run(), out="failing://run")
    assert (result.folder / "config.yaml").read_text() == (here / "config.yaml").read_text()


def test_an_outage_at_the_end_is_an_error_that_keeps_the_files(store, small_run):
    store.down = range(6, 10**9)
    with pytest.raises(
        OSError, match=r"failing:/+run lacks the newest files of the run .* They are in (\S+): copy"
    ) as error:
        train(small_run(train={"epochs": 1}), out="failing://run")
    folder = Path(str(error.value).split("They are in ")[1].split(":")[0])
    assert (folder / CHECKPOINT).is_file()
    assert folder not in remove_abandoned_folders()
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("out", "changes", "message"),
    [
        ("https://server/run", {}, "a web server cannot be written"),
        ("failing://run", {"search": "quick"}, "a search needs a folder of this machine"),
    ],
)
def test_what_an_address_cannot_hold_is_refused(small_run, out, changes, message):
    with pytest.raises(ConfigError, match=message):
        train(small_run(**changes), out=out)
    assert not FailingStore.store


def test_several_processes_are_refused(small_run, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="a run of several processes needs a folder that all of them see"):
        train(small_run(), out="failing://run")


@pytest.fixture(scope="module")
def s3():
    with running_s3() as environment:
        yield environment | {"AWS_ENDPOINT_URL": environment["AWS_ENDPOINT"]}


def steps(place):
    text = (
        place.fs.cat_file(f"{place.path}/log.jsonl").decode()
        if is_address(place)
        else (place / "log.jsonl").read_text()
    )
    entries = map(json.loads, text.splitlines())
    return [entry["step"] for entry in entries if entry["kind"] == "train"]


@pytest.mark.slow
@pytest.mark.parametrize("kills", [1, 20])
def test_run_in_a_store_survives_kills_at_random_moments(kills, s3, warm, recipe, tmp_path, monkeypatch):
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    training = {"epochs": 2 if kills == 1 else 6, "batch": 3, "checkpoint_minutes": 0}
    settings = recipe(train=training, head={"dropout": 0.2})
    address = f"s3://{BUCKET}/runs/{kills}"
    whole, there = tmp_path / "whole", video_path(address)
    moments = random.Random(kills)
    code, output = warm.run("train", settings, "--out", whole)
    assert code == 0, output
    total = len(steps(whole))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = s3 | {"TMPDIR": temporary}

    def done_there():
        there.fs.invalidate_cache()
        return len(steps(there)) if (there / CHECKPOINT).exists() else 0

    for kill in range(kills):
        run = warm.start("train", settings, "--out", address, "--resume", environment=environment)
        done = total * kill // (kills + 1)
        wait_until(lambda done=done: done_there() > done, every_seconds=0.05)
        time.sleep(moments.uniform(0.0, 0.2))  # a step and the upload of its checkpoint take about half of that
        run.kill()
        code, output = run.finish()
        assert code == -signal.SIGKILL, output
        assert "is a corrupt checkpoint" not in output
    code, output = warm.run("train", settings, "--out", address, "--resume", environment=environment)
    assert code == 0, output
    there.fs.invalidate_cache()
    assert weights(there) == weights(whole)
    assert f"adapter: {address}/best" in output
    assert steps(there) == steps(whole)
    assert not list(temporary.glob("side4video-run-*")), "folders of killed runs are removed"
