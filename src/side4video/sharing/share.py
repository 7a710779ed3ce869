"""Adapters given to others: checked, freed of all that is private, put on the Hugging Face hub or in a folder."""

import json
import shutil
import tempfile
from pathlib import Path

import torch

from side4video.adapters.adapter import CONFIG, WEIGHTS, find_adapter, load_adapter, read_adapter, read_weights
from side4video.adapters.hub import is_downloaded, parse_hub_name, upload
from side4video.adapters.untrusted import without_paths
from side4video.atomic_files import replacing, write_json
from side4video.models.build import build_model
from side4video.models.side_tuned_model import SideTunedModel
from side4video.models.video_model import choose_device
from side4video.sharing.model_card import CARD, PICTURE, CardFacts, read_model_card, write_model_card

SHARED_FILES = (WEIGHTS, CONFIG, CARD, PICTURE)
"""All that is ever given away; the picture where there is one."""


def push_to_hub(
    adapter: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    license: str | None = None,
    dataset: str | None = None,
    message: str = "An adapter of side4video",
    token: str | None = None,
) -> str:
    """Put an adapter on the Hugging Face hub; returns its address there. Nothing is sent before all of it was checked.

    Args:
        adapter: an adapter folder, or a run folder (its best adapter is taken). Its card is written, see
            `write_model_card`.
        repo_id: `user/name`; made where it is not there.
        private: only its owner can read a repository that is made now.
        license: the hub's name of a licence, such as "mit"; by default that of the card that is there, if any.
        dataset: name of the data set in the card.
        message: of the commit.
        token: of the hub; by default that of `hf auth login` or HF_TOKEN.

    Raises:
        FileNotFoundError: no adapter there.
        ValueError: the name is none of the hub's, or the adapter or its card cannot be used.
        PermissionError: there is no token.
        OSError: the hub refuses, or cannot be reached.
    """
    name = parse_hub_name(repo_id)
    if name is None or name.revision is not None:
        raise ValueError(f"{repo_id!r} is no name on the hub. Give user/name, of letters, digits, dots and dashes.")
    with tempfile.TemporaryDirectory(prefix="side4video-") as folder:
        files = save_shareable(adapter, Path(folder), name=repo_id, license=license, dataset=dataset)
        names = [file.name for file in files]
        return upload(Path(folder), repo_id, files=names, private=private, message=message, token=token)


def save_shareable(
    adapter: str | Path,
    folder: Path,
    *,
    name: str | None = None,
    license: str | None = None,
    dataset: str | None = None,
) -> list[Path]:
    """Write what others need of an adapter to a folder, and nothing else: the very files that `push_to_hub` uploads.

    No path of this machine is in them: where the data lies is left out, a file of backbone weights is named alone.

    Args:
        adapter, license, dataset: as for `push_to_hub`.
        folder: where they go; files of the same names are replaced.
        name: where it will be found, `user/name` on the hub; None: not known yet.

    Returns:
        The files.

    Raises:
        FileNotFoundError: no adapter there.
        ValueError: the adapter or its card cannot be used, or was downloaded from the hub itself.
    """
    source = find_adapter(Path(adapter))
    if is_downloaded(source):
        raise ValueError(f"{adapter} was downloaded from the hub: it is shared already.")
    check_adapter(source)
    card = write_model_card(source, CardFacts(name, license, dataset))
    read_model_card(card)
    content = json.loads((source / CONFIG).read_text(encoding="utf-8"))
    content["settings"] = without_paths(read_adapter(source).config).model_dump(mode="json")
    write_json(folder / CONFIG, content)
    for file in (WEIGHTS, CARD, PICTURE):
        if (source / file).is_file():
            with replacing(folder / file) as temporary:
                shutil.copyfile(source / file, temporary)
    return [folder / file for file in SHARED_FILES if (folder / file).is_file()]


def check_adapter(folder: Path) -> None:
    """Make sure that an adapter can be loaded on the backbone it names; that backbone is not needed.

    Raises:
        FileNotFoundError: no adapter there.
        ValueError: the config cannot be used, tensors do not fit it, or hold numbers that are not finite.
    """
    adapter = read_adapter(folder)
    backbone = adapter.config.backbone.model_copy(update={"weights": "random", "quantise": "none"})
    text = adapter.config.text.model_copy(update={"weights": "random"})
    config = adapter.config.model_copy(update={"backbone": backbone, "text": text})
    with torch.device("meta"):
        model = build_model(config, num_classes=len(adapter.class_names), device=torch.device("meta"))
    tensors = read_weights(folder)
    model.check_trained_state(tensors)
    if odd := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
        raise ValueError(f"{folder}: {', '.join(odd[:10])} hold numbers that are not finite. Training went wrong.")


def from_pretrained(
    name_or_folder: str | Path, *, device: str = "auto", backbone_weights: str | None = None
) -> SideTunedModel:
    """The model of an adapter in eval mode, a `VideoModel` or `RetrievalModel`; `load_adapter` gives its classes too.

    Args:
        name_or_folder: `user/name` or `user/name@revision` on the Hugging Face hub, an adapter folder or a run folder.
        device: "auto", "cpu", "cuda", ...
        backbone_weights: local weights of the backbone; by default what training used.

    Raises:
        FileNotFoundError: no adapter there.
        ValueError: the adapter is damaged, or the backbone's weights are not there or not those it was trained on.
    """
    return load_adapter(Path(name_or_folder), device=choose_device(device), backbone_weights=backbone_weights)[0]
