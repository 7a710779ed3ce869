"""The command `backbones`: list the frozen image models that you can choose from."""

from rich.table import Table

from side4video.models.backbones.names import NAMED_BACKBONES, NamedBackbone
from side4video.system.tables import Console

_COLUMNS = ("name", "M", "width", "blocks", "patch/px", "texts", "licence")
_LEFT = {"name", "texts", "licence"}


def backbones(arguments: list[str]) -> int:
    """Run `side4video backbones`; returns the exit code."""
    wanted = arguments[0].lower() if arguments else ""
    if named := NAMED_BACKBONES.get(wanted):
        Console().print(_table({wanted: named}))
        print(f"full name: {named.name}")
        print(f"text tower, open_clip: {' '.join(named.text) if named.text else 'none'}")
        return 0
    from side4video.models.backbones.catalogue import list_backbones
    from side4video.models.backbones.open_clip_towers import list_image_text_models

    short_names = {short: named for short, named in NAMED_BACKBONES.items() if wanted in short}
    timm_names = [name for name in list_backbones() if wanted in name]
    open_clip_names = [name for name in list_image_text_models() if wanted in name.lower()]
    if not short_names and not timm_names and not open_clip_names:
        raise ValueError(f"No backbone has {wanted!r} in its name. Run `side4video backbones` for the short names.")
    if short_names:
        Console().print(_table(short_names))
    if not wanted:
        print(
            f"{len(timm_names)} models of timm and {len(open_clip_names)} weights of open_clip are supported. Search "
            "all names by a part: side4video backbones clip"
        )
        return 0
    for library, names in (("timm", timm_names), ("open_clip, with texts", open_clip_names)):
        if names:
            print(f"Names in {library}:")
            print("\n".join(names))
    return 0


def _table(rows: dict[str, NamedBackbone]) -> Table:
    """Short names with sizes, languages of the text tower ("-": none) and licences."""
    table = Table(box=None, pad_edge=False)
    for column in _COLUMNS:
        table.add_column(column, no_wrap=True, justify="left" if column in _LEFT else "right")
    for short, named in rows.items():
        sizes = (f"{named.millions:,.1f}", str(named.width), str(named.num_blocks))
        pixels = f"{named.patch_size}/{named.image_size}"
        table.add_row(short, *sizes, pixels, named.languages or "-", named.licence or "not stated")
    return table
