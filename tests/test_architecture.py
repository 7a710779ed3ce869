"""Data flows one way: what each part of the package may import, read from the source."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "side4video"

FOUNDATION = {"shapes", "files", "config", "processes"}
MAY_IMPORT = {
    "shapes": set(),
    "files": set(),
    "config": set(),
    "roll_call": set(),
    "processes": {"roll_call"},
    "video": FOUNDATION,
    "checking": FOUNDATION | {"video"},
    "models": FOUNDATION,
    "memory": FOUNDATION | {"models", "tasks", "training"},
    "report_pictures": set(),
    "report": {"files", "report_pictures"},
    "retrieval_report": {"files", "report_pictures"},
    "hub": set(),
    "untrusted": {"config"},
    "adapter": FOUNDATION | {"models", "hub", "untrusted"},
    "tasks": FOUNDATION | {"video", "models", "adapter"},
    "search": FOUNDATION | {"video", "models", "adapter", "tasks", "checking", "training", "predict"},
    "training": FOUNDATION | {"video", "models", "adapter", "tasks"},
}
"""Parts that are missing here stand on top and may import everything."""

ONLY_HERE = {
    "timm": {"models/backbones.py", "models/frozen_backbone.py", "video/transforms.py", "demo/pretrain.py"},
    "av": {
        "video/opening.py",
        "video/video_file.py",
        "video/packets.py",
        "video/playback.py",
        "video/sound.py",
        "demo/videos.py",
    },
    "tyro": {"commands", "demo/pretrain.py", "demo/pretrain_captions.py"},
    "matplotlib": {"report_pictures.py"},
    "sklearn": {"tasks/linear_probe.py"},
    "open_clip": {"models/text_tower.py", "demo/still_clip.py", "demo/pretrain_captions.py"},
    "huggingface_hub": {"hub.py", "model_card.py"},
    "onnx": {"export.py"},
    "onnxruntime": {"export.py"},
    "onnxscript": {"export.py"},
    "bitsandbytes": {"models/quantisation.py"},
    "fastapi": {"web"},
    "starlette": {"web"},
    "uvicorn": {"web"},
    "lancedb": {"search/lance_store.py", "search/lance_snapshot.py"},
    "pyarrow": {"search/lance_store.py", "search/lance_snapshot.py", "search/window_rows.py"},
    "qdrant_client": {"search/qdrant_store.py"},
}
"""Libraries that one place alone knows: files, and folders of which all files may."""

FILES = sorted(SOURCE.rglob("*.py"))


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


def part_of(path):
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_imports_follow_the_flow(path):
    part = part_of(path)
    own = {module.split(".")[1] for module in imports(path) if module.startswith("side4video.")}
    if part in MAY_IMPORT:
        assert own - {part} <= MAY_IMPORT[part]
    place = path.relative_to(SOURCE).as_posix()
    libraries = {module.split(".")[0] for module in imports(path)}
    for library in libraries & ONLY_HERE.keys():
        assert {place, part} & ONLY_HERE[library], f"{library} is imported in {place}"


def test_the_rules_name_parts_and_files_that_exist():
    parts = {part_of(path) for path in FILES}
    assert MAY_IMPORT.keys() <= parts
    files = {path.relative_to(SOURCE).as_posix() for path in FILES}
    assert {place for places in ONLY_HERE.values() for place in places} <= files | parts


def test_no_names_that_say_nothing():
    empty = {"utils", "util", "common", "helpers", "misc", "base", "core", "manager"}
    assert not [path for path in FILES if path.stem in empty]


UNSAFE = {"eval", "exec", "compile", "__import__", "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.load"}
UNSAFE |= {"torch.jit.load", "torch.package.PackageImporter", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}
UNSAFE |= {"os.system", "os.popen", "joblib.load", "shelve.open", "runpy.run_path"}
ONLY_WITH = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}
"""Calls that could run what a file holds, and those that could unless they are told not to."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_no_file_is_read_in_a_way_that_could_run_it(path):
    for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        assert name not in UNSAFE, f"line {call.lineno}"
        if name in ONLY_WITH:
            option, value = ONLY_WITH[name]
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            assert given.get(option) == str(value), f"line {call.lineno}"
        assert not any(keyword.arg == "shell" for keyword in call.keywords), f"line {call.lineno}"
