"""Videos that are not files: decoded frames, bytes and file objects give the results of the same file."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from side4video.inference.embedder import Embedder
from side4video.inference.predictor import Predictor
from side4video.video.decoding import VideoError, open_video

EARLIER = Path(__file__).parents[1] / "earlier"


@pytest.fixture(scope="module")
def predictor():
    return Predictor(EARLIER / "adapter", device="cpu", num_clips=2, num_crops=3)


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("retrieval")
    shutil.unpack_archive(EARLIER / "retrieval.zip", folder)
    return Embedder(folder, device="cpu")


@pytest.fixture(scope="module")
def video(tmp_path_factory, make_video):
    path = tmp_path_factory.mktemp("video") / "grey.mp4"
    return make_video(path, [10 * number for number in range(20)], height=50, width=70)


@pytest.fixture(scope="module")
def frames(video):
    with open_video(video) as file:
        return file.read(range(file.num_frames)).permute(0, 2, 3, 1).numpy().copy()


FORMS = {
    "array": lambda frames: frames,
    "reversed channels": lambda frames: frames[..., ::-1].copy()[..., ::-1],
    "read-only array": lambda frames: np.frombuffer(frames.tobytes(), np.uint8).reshape(frames.shape),
    "tensor": lambda frames: torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous(),
    "list of arrays": list,
    "tuple of pictures": lambda frames: tuple(map(Image.fromarray, frames)),
}


@pytest.mark.parametrize("form", FORMS)
def test_frames_in_memory_give_the_same_as_a_file(predictor, embedder, video, frames, form):
    given = FORMS[form](frames)
    assert predictor.predict_frames(given) == predictor.predict(video)
    found, expected = embedder.embed_frames(given, name="mine"), embedder.embed_videos([video])
    assert found.paths == ("mine",)
    assert torch.equal(found.features.frames, expected.features.frames)
    assert embedder.rank(["a shape"], found)[0][0][0] == "mine"


def test_other_frames_give_other_results(predictor, video, frames):
    assert predictor.predict_frames(255 - frames) != predictor.predict(video)


@pytest.mark.parametrize("form", ["bytes", "file", "stream that cannot seek", "memory"])
def test_contents_of_a_file_give_the_same_as_its_path(predictor, embedder, video, form):
    class Pipe(io.BytesIO):
        def seekable(self):
            return False

    content = video.read_bytes()
    forms = {"bytes": content, "stream that cannot seek": Pipe(content), "memory": io.BytesIO(content)}
    with video.open("rb") as file:
        given = forms.get(form, file)
        assert predictor.predict(given) == predictor.predict(video)
        if form != "stream that cannot seek":
            expected = embedder.embed_videos([video]).features.frames
            assert torch.equal(embedder.embed_videos([given]).features.frames, expected)
        assert not file.closed


def test_contents_and_paths_mix(predictor, video):
    one, two = predictor.predict_videos([video, video.read_bytes()], workers=0)
    assert one.classes == two.classes
    assert (one.path, two.path) == (video, Path(f"{video.stat().st_size} bytes"))


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda f: f.transpose(0, 3, 1, 2), ValueError, r"\(20, 3, 50, 70\).*frames.transpose\(0, 2, 3, 1\)"),
        (lambda f: torch.from_numpy(f), ValueError, r"\(20, 50, 70, 3\).*frames.permute\(0, 3, 1, 2\)"),
        (lambda f: f / 255, ValueError, r"float64, not uint8.*\* 255"),
        (lambda f: torch.from_numpy(f).permute(0, 3, 1, 2) / 255, ValueError, r"torch.float32.*\* 255"),
        (lambda f: f[0], ValueError, r"\(50, 70, 3\).*one frame"),
        (lambda f: f[None], ValueError, "several clips"),
        (lambda f: f[..., :1], ValueError, "three channels"),
        (lambda f: f.transpose(3, 0, 1, 2), ValueError, "first dimension is the channel"),
        (lambda f: f[:0], ValueError, r"\(0, 50, 70, 3\)"),
        (lambda f: [], ValueError, "is empty"),
        (lambda f: [f[0], f[1, :40]], ValueError, r"Frame 1 has shape \(40, 70, 3\), frame 0 \(50, 70, 3\)"),
        (lambda f: [f[0], f[1] / 255], ValueError, r"Frame 1 is float64"),
        (lambda f: [f[0].transpose(2, 0, 1)], ValueError, r"frame.transpose\(1, 2, 0\)"),
        (lambda f: list(torch.from_numpy(f)), TypeError, "torch.stack"),
        (lambda f: ["1.png"], TypeError, r"Frame 0 is of type builtins.str.*PIL"),
        (lambda f: "clip.mp4", TypeError, r"builtins.str.*\(T, H, W, 3\)"),
    ],
)
def test_inputs_that_are_not_frames_are_refused_with_the_remedy(predictor, frames, wrong, error, message):
    with pytest.raises(error, match=message):
        predictor.predict_frames(wrong(frames))


def test_contents_of_other_files_are_refused(predictor, embedder, video, frames):
    with pytest.raises(TypeError, match=r"numpy.ndarray.*predict_frames"):
        predictor.predict(frames)
    with video.open(encoding="latin-1") as text, pytest.raises(TypeError, match="'rb'"):
        predictor.predict(text)
    with pytest.raises(VideoError, match="0 bytes: it is empty"):
        predictor.predict(b"")
    with pytest.raises(VideoError, match=r"8 bytes: .*cannot be decoded"):
        predictor.predict(b"no video")
