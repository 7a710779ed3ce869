"""Shares adapters: checks them, removes private paths, and uploads them to the Hugging Face hub or copies them."""

import json
import shutil
import tempfile
from pathlib import Path

import torch

from side4video.adapters.adapter import (
    CONFIG,
    TEXT_FILES,
    WEIGHTS,
    find_adapter,
    load_adapter,
    read_adapter,
    read_weights,
)
from side4video.adapters.hub import is_downloaded, parse_hub_name, upload
from side4video.adapters.untrusted import without_list_path, without_paths
from side4video.atomic_files import replacing, write_json
from side4video.models.build import build_model
from side4video.models.side_tuned_model import SideTunedModel
from side4video.models.video_model import choose_device
from side4video.sharing.model_card import CARD, PICTURE, CardFacts, read_model_card, write_model_card

SHARED_FILES = (WEIGHTS, CONFIG, *TEXT_FILES, CARD, PICTURE)
"""The only files that are ever shared; the picture and the files of a tokeniser only if they exist."""


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
    """Upload an adapter to the Hugging Face hub; returns its URL. Nothing is sent until everything is checked.

    Args:
        adapter: an adapter folder, or a run folder (its best adapter is shared). Its card is written, see
            `write_model_card`.
        repo_id: `user/name`; created if it does not exist.
        private: create the repository as private.
        license: the hub's name of a licence, such as "mit"; by default the licence of the existing card, if any.
        dataset: name of the data set in the card.
        message: commit message.
        token: token for the hub; by default the token of `hf auth login` or HF_TOKEN.

    Raises:
        FileNotFoundError: there is no adapter.
        ValueError: invalid name, adapter or card.
        PermissionError: there is no token.
        OSError: the hub rejects the upload or cannot be reached.
    """
    name = parse_hub_name(repo_id)
    if name is None or name.revision is not None:
        raise ValueError(f"{repo_id!r} is not a name on the hub. Use user/name, of letters, digits, dots and dashes.")
    with tempfile.TemporaryDirectory(prefix="side4video-") as folder:
        files = save_shareable(adapter, Path(folder), name=repo_id, license=license, dataset=dataset)
        names = [file.relative_to(folder).as_posix() for file in files]
        outdated = [name for name in SHARED_FILES if name not in names]
        return upload(
            Path(folder), repo_id, files=names, outdated=outdated, private=private, message=message, token=token
        )


def save_shareable(
    adapter: str | Path,
    folder: Path,
    *,
    name: str | None = None,
    license: str | None = None,
    dataset: str | None = None,
) -> list[Path]:
    """Write exactly the files of an adapter that `push_to_hub` uploads to a folder.

    They contain no path of this machine: paths of data are removed, and a backbone weight file is given by name only.

    Args:
        adapter, license, dataset: as for `push_to_hub`.
        folder: target folder; files of the same names are replaced, those of an earlier adapter removed.
        name: `user/name` on the hub, for the card; None if not known yet.

    Returns:
        The files.

    Raises:
        FileNotFoundError: there is no adapter.
        ValueError: invalid adapter or card, or the adapter was downloaded from the hub or an address.
    """
    source = find_adapter(Path(adapter))
    if is_downloaded(source):
        raise ValueError(
            f"{adapter} was downloaded: from the hub, it is shared already; from an address, copy the adapter "
            "folder to this machine and share that."
        )
    check_adapter(source)
    card = write_model_card(source, CardFacts(name, license, dataset))
    read_model_card(card)
    content = json.loads((source / CONFIG).read_text(encoding="utf-8"))
    content["settings"] = without_paths(read_adapter(source).config).model_dump(mode="json")
    for about, name in ((content.get("thresholds"), "origin"), (content["scores"], "thresholds")):
        if about and name in about:
            about[name] = without_list_path(str(about[name]))
    write_json(folder / CONFIG, content)
    for file in (WEIGHTS, *TEXT_FILES, CARD, PICTURE):
        if (source / file).is_file():
            with replacing(folder / file) as temporary:
                shutil.copyfile(source / file, temporary)
        else:
            (folder / file).unlink(missing_ok=True)  # the tokeniser of an adapter that was shared before
    return [folder / file for file in SHARED_FILES if (folder / file).is_file()]


def check_adapter(folder: Path) -> None:
    """Check that an adapter can be loaded on its backbone, without the backbone's weights.

    Raises:
        FileNotFoundError: there is no adapter.
        ValueError: invalid config, tensors that do not match it, or values that are not finite.
    """
    adapter = read_adapter(folder)
    backbone = adapter.config.backbone.model_copy(update={"weights": "random", "quantise": "none"})
    text = adapter.config.text.model_copy(update={"weights": "random"})
    config = adapter.config.model_copy(update={"backbone": backbone, "text": text})
    with torch.device("meta"):
        model = build_model(config, num_classes=len(adapter.class_names), device=torch.device("meta"))
    tensors = read_weights(folder)
    model.check_trained_state(tensors)
    if nonfinite := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
        raise ValueError(
            f"{folder}: {', '.join(nonfinite[:10])} have values that are not finite. Do not share it: retrain."
        )


def from_pretrained(
    name_or_folder: str | Path, *, device: str = "auto", backbone_weights: str | None = None
) -> SideTunedModel:
    """Load an adapter's model in eval mode, a `VideoModel` or `RetrievalModel`; `load_adapter` returns the classes too.

    Args:
        name_or_folder: `user/name` or `user/name@revision` on the Hugging Face hub, an adapter folder or a run folder.
        device: "auto", "cpu", "cuda", ...
        backbone_weights: local weights of the backbone; by default those used in training.

    Raises:
        FileNotFoundError: there is no adapter.
        ValueError: corrupt adapter, or missing or different backbone weights than in training.
    """
    return load_adapter(Path(name_or_folder), device=choose_device(device), backbone_weights=backbone_weights)[0]
