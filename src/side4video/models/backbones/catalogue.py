"""Which backbones exist, by which names, and where their weights come from; builds and downloads nothing.

A name is a short one (`names.py`), timm's, or open_clip's. open_clip takes seconds to import, so it is imported only
for names that timm does not have.
"""

import difflib
from dataclasses import dataclass

import timm

from side4video.models.backbones.building_from_files import QUICK_GELU_HINT
from side4video.models.backbones.names import NAMED_BACKBONES, full_name
from side4video.models.backbones.supported_models import architecture_of, class_name, is_supported, unsupported_message


@dataclass(frozen=True)
class WeightsSource:
    """Where the pre-trained weights of a backbone come from.

    Attributes:
        repo_id: the repository on the Hugging Face hub; None if the weights are elsewhere or do not exist.
        license: the licence that timm or the page of the weights states, such as "apache-2.0"; None if unknown.

    >>> weights_source("dinov2-s14").license
    'apache-2.0'
    """

    repo_id: str | None
    license: str | None


def list_backbones() -> list[str]:
    """Sorted timm names, without tags, of all models that `load_backbone` supports.

    Models of open_clip have names of their own: `list_image_text_models` in `open_clip_towers.py`.

    >>> "vit_base_patch16_clip_quickgelu_224" in list_backbones(), "resnet50" in list_backbones()
    (True, False)
    """
    return [name for name in timm.list_models() if is_supported(name)]


def weights_source(name: str) -> WeightsSource:
    """Repository and licence of the weights that `load_backbone` downloads; downloads nothing.

    >>> weights_source("clip-b16").repo_id, weights_source("pe-b16").repo_id
    ('timm/vit_base_patch16_clip_224.openai', 'timm/PE-Core-B-16')
    """
    name = full_name(name)
    if timm.is_model(architecture_of(name)):
        settings = timm.get_pretrained_cfg(name)
        return WeightsSource(settings.hf_hub_id, settings.license) if settings else WeightsSource(None, None)
    from side4video.models.backbones.open_clip_towers import hub_repository

    licences = [named.licence for named in NAMED_BACKBONES.values() if named.name == name]
    return WeightsSource(hub_repository(name), next(filter(None, licences), None))


def default_image_size(name: str) -> int | None:
    """Side of the square frames that the named model takes by default, in pixels; None: unknown."""
    name = full_name(name)
    if not timm.is_model(architecture_of(name)):
        from side4video.models.backbones.open_clip_towers import find_image_tower

        try:
            tower = find_image_tower(name)
        except ValueError:
            return None
        return tower.args.get("img_size") or default_image_size(tower.architecture)
    try:
        settings = timm.get_pretrained_cfg(name)
    except RuntimeError:  # the tag is unknown
        return None
    return settings.input_size[-1] if settings else None


def check_timm_name(name: str) -> None:
    """Check one of timm's names before anything is built or downloaded.

    Raises:
        ValueError: timm has no such model or tag, its class is not supported, or its weights need another name.
    """
    if not is_supported(name):
        raise ValueError(unsupported_message(name, class_name(name)))
    quick = name.replace("_clip_", "_clip_quickgelu_")
    if "." in name and quick != name and timm.list_pretrained(quick):
        raise ValueError(f"The weights of {name} were trained with QuickGELU. {QUICK_GELU_HINT}")
    tags = timm.list_pretrained(f"{architecture_of(name)}.*")
    if "." in name and name not in tags:
        known = ", ".join(tags) or "none"
        raise ValueError(f"{name!r} has an unknown weights tag. Tags in timm: {known}.")


def unknown_name(name: str) -> ValueError:
    """The error for a name that neither timm nor open_clip has, with the closest known names."""
    from side4video.models.backbones.open_clip_towers import list_image_text_models

    known = [*NAMED_BACKBONES, *list_backbones(), *list_image_text_models()]
    close = difflib.get_close_matches(name, known, n=5) or difflib.get_close_matches(architecture_of(name), known, n=5)
    hint = f"Did you mean {', '.join(close)}?" if close else "`side4video backbones` lists the short names."
    return ValueError(f"Neither timm nor open_clip has a model {name!r}. {hint}")
