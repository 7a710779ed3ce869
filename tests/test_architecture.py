"""Data flows one way: what each part of the package may import, read from the source."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import side4video
from longest_first import LONGEST_FIRST

SOURCE = Path(__file__).parents[1] / "src" / "side4video"

FLOORS = (
    {"system", "output_targets", "earlier_outputs"},
    {"shapes", "atomic_files", "parameters", "config", "distributed"},
    {"video", "models/backbones"},
    {"models/side", "models/text", "data/lists", "moments"},
    {"models", "data", "subtitles"},
    {"data/loading", "adapters"},
    {"checking", "tasks", "search/stores"},
    {"tasks/recognition", "tasks/retrieval", "shards"},
    {"training", "timeline"},
    {"inference", "selection"},
    {"search", "reports", "memory"},
    {"sharing", "demo", "web"},
    {"commands"},
    {"cli"},
    {"__init__", "__main__"},
)
"""Rooms from the ground up: folders of the package, and the files next to them.

A room imports rooms of lower floors only, so nothing imports back up and no rooms import each other.
"""

NEVER = {
    "video": {"config", "models", "distributed"},
    "data": {"models", "adapters", "tasks"},
    "models": {"video", "data", "tasks"},
    "config": {"torch", "timm", "av"},
}
"""What a folder, with all rooms inside it, does not import although the floors would allow it."""

ONLY_HERE = {
    "timm": {
        "models/backbones/catalogue.py",
        "models/backbones/open_clip_towers.py",
        "models/backbones/pooling.py",
        "models/backbones/loading.py",
        "models/backbones/frozen_backbone.py",
        "models/backbones/image_weights.py",
        "models/backbones/position_tables.py",
        "models/backbones/supported_models.py",
        "data/rand_augment.py",
        "demo/pretrain.py",
    },
    "av": {
        "video/container.py",
        "video/cutting.py",
        "video/live_reader.py",
        "video/open_file.py",
        "video/orientation.py",
        "video/video_file.py",
        "video/packets.py",
        "video/playback.py",
        "video/audio.py",
        "subtitles/tracks.py",
        "search/subtitle_updates.py",
        "demo/videos.py",
    },
    "opentimelineio": {"moments/edit_list.py"},
    "tyro": {"commands", "demo/pretrain.py", "demo/pretrain_captions.py"},
    "matplotlib": {"reports/report_pictures.py", "reports/heatmaps.py"},
    "sklearn": {
        "tasks/recognition/folds.py",
        "tasks/recognition/logistic_regression.py",
    },
    "open_clip": {
        "models/backbones/open_clip_towers.py",
        "models/text/encoders.py",
        "models/text/text_settings.py",
        "models/text/text_tower.py",
        "models/text/tokeniser.py",
        "models/text/tokeniser_files.py",
        "models/text/transformers.py",
        "demo/still_clip.py",
        "demo/pretrain_captions.py",
    },
    "tokenizers": {"models/text/encoders.py"},
    "sentencepiece": {"models/text/encoders.py"},
    "transformers": {"models/text/transformers.py"},
    "huggingface_hub": {"adapters/hub.py", "sharing/model_card.py"},
    "ray": {"distributed/ray_engine.py"},
    "wandb": {"training/trackers.py"},
    "mlflow": {"training/trackers.py"},
    "onnx": {"sharing/export.py"},
    "onnxruntime": {"sharing/export.py"},
    "onnxscript": {"sharing/export.py"},
    "bitsandbytes": {"models/backbones/quantisation.py"},
    "fastapi": {"web"},
    "starlette": {"web"},
    "uvicorn": {"web"},
    "lancedb": {
        "search/stores/lance_store.py",
        "search/stores/lance_snapshot.py",
        "search/stores/lance_subtitles.py",
        "search/stores/lance_tables.py",
    },
    "pyarrow": {
        "search/stores/lance_store.py",
        "search/stores/lance_snapshot.py",
        "search/stores/lance_subtitles.py",
        "search/stores/lance_tables.py",
        "search/stores/window_rows.py",
    },
    "qdrant_client": {
        "search/stores/qdrant_store.py",
        "search/stores/qdrant_clients.py",
        "search/stores/qdrant_points.py",
        "search/stores/qdrant_subtitles.py",
    },
}
"""Libraries, and the files that may import them; a folder means all its files."""

FILES = sorted(SOURCE.rglob("*.py"))


@cache
def nodes_of(path):
    return list(ast.walk(ast.parse(path.read_text())))


def imports(path):
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


def part_of(path):
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def room_of(module):
    """The room of a module of the package, such as "data/lists" for "side4video.data.lists.captions"."""
    names = module.split(".")[1:]
    folders = [names[: end + 1] for end in range(len(names)) if (SOURCE / "/".join(names[: end + 1])).is_dir()]
    return "/".join(folders[-1] if folders else names[:1])


def module_of(path):
    return ".".join(("side4video", *path.relative_to(SOURCE).with_suffix("").parts))


FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def place_of(path):
    return path.relative_to(SOURCE).as_posix()


def test_imports_go_to_lower_floors_only():
    for path in FILES:
        place, room = place_of(path), room_of(module_of(path))
        assert room in FLOOR_OF, f"{place}: {room} has no floor yet: place it in FLOORS"
        modules = set(imports(path))
        for other in {room_of(module) for module in modules if module.startswith("side4video.")} - {room}:
            assert FLOOR_OF[other] < FLOOR_OF[room], f"{place}: {room} imports {other}, which is not below it"
        roots = {module.split(".")[1 if module.startswith("side4video.") else 0] for module in modules}
        assert not roots & NEVER.get(part_of(path), set()), place


def test_a_library_is_imported_where_it_belongs():
    for path in FILES:
        libraries = {module.split(".")[0] for module in imports(path)}
        for library in libraries & ONLY_HERE.keys():
            assert {place_of(path), part_of(path)} & ONLY_HERE[library], f"{library} is imported in {place_of(path)}"


def test_no_import_cycles():
    known = {module_of(path): path for path in FILES}
    above = {name: {module for module in imports(path) if module in known} for name, path in known.items()}
    while free := [name for name, needed in above.items() if not needed]:
        for name in free:
            del above[name]
        for needed in above.values():
            needed.difference_update(free)
    assert not above, "these import each other, or what imports each other"


def test_rules_name_existing_rooms_and_files():
    assert FLOOR_OF.keys() == {room_of(module_of(path)) for path in FILES}
    assert sum(map(len, FLOORS)) == len(FLOOR_OF), "a room stands on two floors"
    files = {place_of(path) for path in FILES}
    assert {place for places in ONLY_HERE.values() for place in places} <= files | {part_of(path) for path in FILES}


@pytest.mark.parametrize("folder", sorted({path.parent for path in FILES} - {SOURCE}), ids=lambda folder: folder.name)
def test_a_room_lists_its_files(folder):
    contents = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
    listed = set(re.findall(r"^\* ([\w./]+): ", contents, re.MULTILINE))
    rooms = {f"{path.name}/" for path in folder.iterdir() if (path / "__init__.py").exists()}
    assert listed == {path.name for path in folder.glob("*.py")} - {"__init__.py"} | rooms


@pytest.mark.parametrize("name", side4video.__all__)
def test_a_public_class_has_an_example_that_is_run(name):
    public = getattr(side4video, name)
    assert not isinstance(public, type) or ">>> " in vars(public)["__doc__"]


def test_the_longest_test_files_exist():
    assert set(LONGEST_FIRST) <= {path.stem for path in Path(__file__).parent.rglob("test_*.py")}
    assert len(set(LONGEST_FIRST)) == len(LONGEST_FIRST)


def test_names_of_test_files_are_unique():
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert not {name for name in names if names.count(name) > 1}, "pytest cannot import two files of one name"


def test_no_meaningless_file_names():
    empty = {"utils", "util", "common", "helpers", "misc", "base", "core", "manager"}
    assert not [path for path in FILES if path.stem in empty]


UNSAFE = {"eval", "exec", "compile", "__import__", "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.load"}
UNSAFE |= {"torch.jit.load", "torch.package.PackageImporter", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}
UNSAFE |= {"os.system", "os.popen", "joblib.load", "shelve.open", "runpy.run_path"}
ONLY_WITH = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}
"""Calls that could run code from a file, and calls that could without this option."""


def test_no_call_can_run_code_from_a_file():
    for place, call in ((place_of(path), node) for path in FILES for node in nodes_of(path)):
        if not isinstance(call, ast.Call):
            continue
        name, line = ast.unparse(call.func), f"{place}, line {call.lineno}"
        assert name not in UNSAFE, line
        if name in ONLY_WITH:
            option, value = ONLY_WITH[name]
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            assert given.get(option) == str(value), line
        assert not any(keyword.arg == "shell" for keyword in call.keywords), line
