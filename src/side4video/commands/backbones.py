"""The command `backbones`: list the frozen image models that you can choose from."""

from rich.console import Console
from rich.table import Table


def backbones(arguments: list[str]) -> int:
    """Run `side4video backbones`; returns the exit code."""
    from side4video.models.backbones.loading import NAMED_BACKBONES, list_backbones, weights_source

    wanted = arguments[0] if arguments else ""
    if wanted and wanted not in NAMED_BACKBONES:
        names = [name for name in (*NAMED_BACKBONES, *list_backbones()) if wanted in name]
        if not names:
            raise ValueError(f"No backbone has {wanted!r} in its name. Run `side4video backbones` for the short names.")
        print("\n".join(names))
        return 0
    table = Table(box=None, pad_edge=False)
    for column in ("name", "M", "width", "blocks", "patch/pixels", "texts", "licence"):
        table.add_column(column, no_wrap=True, justify="left" if column in {"name", "texts", "licence"} else "right")
    for short in [wanted] if wanted else NAMED_BACKBONES:
        named = NAMED_BACKBONES[short]
        sizes = (f"{named.millions:,.1f}", str(named.width), str(named.num_blocks))
        pixels, texts = f"{named.patch_size}/{named.image_size}", "yes" if named.text else "-"
        table.add_row(short, *sizes, pixels, texts, weights_source(named.name).license or "not stated")
    Console().print(table)
    if wanted:
        named = NAMED_BACKBONES[wanted]
        print(f"timm: {named.name}")
        print(f"text tower, open_clip: {' '.join(named.text) if named.text else 'none'}")
        return 0
    print(f"{len(list_backbones())} models are supported in all. Search timm's names: side4video backbones clip")
    return 0
