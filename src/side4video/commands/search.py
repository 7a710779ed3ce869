"""The command `search`."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from side4video.commands.moment_output import MomentOutput
from side4video.parameters import check_count, check_number

if TYPE_CHECKING:
    from side4video.moments.moment import Moment
    from side4video.search.results import Match, SearchResult, SubtitleMatch
    from side4video.search.video_index import VideoIndex


@dataclass(frozen=True)
class SearchArguments:
    """Search the videos of an index for moments by words, or for videos similar to an example.

    Examples:
        >>> tyro.cli(SearchArguments, args=["index", "a shape moves", "--where", "camera=north"]).where
        ('camera=north',)
    """

    index: tyro.conf.Positional[str]
    """The index from `side4video index`: a folder or an address."""
    text: tyro.conf.Positional[tuple[str, ...]]
    """Words to search for, in quotes; several texts are several queries. -"words" in a text are unwanted. Texts after
    -- may start with a hyphen."""
    like: str | None = None
    """Search for videos similar to this video or photo."""
    combine: bool = False
    """Search once for all texts and --like together, instead of once for each."""
    queries: Path | None = None
    """A text file with one query per line."""
    top_k: int = 10
    """Number of videos per query."""
    moments: int = 1
    """Results per video. 1: its best window. More: all parts above --min-score; windows that follow each other are one
    part."""
    min_score: float | None = None
    """Smallest score of a result. Default: none; with --moments, halfway between the mean and the highest score of the
    video's windows."""
    where: tuple[str, ...] = ()
    """Conditions on the metadata: camera=north, "year>=2020", title~dog."""
    path: str | None = None
    """Only videos in this folder, or whose full path matches this pattern, such as "*/2024/*"."""
    shortlist: int = 500
    """Number of windows that are scored exactly: the best ones by their mean embedding."""
    subtitle_weight: float = 0.2
    """Weight of subtitles, where videos have some: a window whose subtitles contain all words of the query scores this
    much more. 0: search pictures only."""
    model: str | None = None
    """Path of the model that made the index, if it has moved."""
    backbone_weights: str | None = None
    """Local weights file of the backbone. Default: the weights that the model was made with."""
    tokenizer: Annotated[Path | None, tyro.conf.arg(name="text.tokenizer")] = None
    """Local tokeniser of a model without an adapter: a tokenizer.json, a SentencePiece model, or a folder with one of
    them. Default: the hub's."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    allow_addresses: tuple[str, ...] = ()
    """Addresses below which --cut and --edit-list read videos of the index, such as s3://bucket/clips; `all`: every
    address. Default: the addresses that you indexed on this machine."""
    json: Path | None = None
    """Also write the results to this file."""
    output: tyro.conf.OmitArgPrefixes[MomentOutput] = field(default_factory=MomentOutput)


def search(arguments: list[str]) -> int:
    """Run `side4video search`; returns the exit code."""
    arguments, literal = _split_at_separator(arguments)
    given = tyro.cli(SearchArguments, prog="side4video search", args=arguments)

    from side4video.atomic_files import write_json
    from side4video.checking.escaping import escape_unprintable
    from side4video.data.lists.text_files import read_lines
    from side4video.search.allowed_addresses import allowed_addresses
    from side4video.search.combined import split_query
    from side4video.search.stores.filter_matching import make_test
    from side4video.search.stores.filters import Filter
    from side4video.search.subtitle_index import MAX_SUBTITLE_WEIGHT
    from side4video.search.video_index import VideoIndex

    check_count(given.top_k, "top_k")
    check_count(given.shortlist, "shortlist")
    check_number(given.subtitle_weight, "subtitle_weight", minimum=0, maximum=MAX_SUBTITLE_WEIGHT)
    texts = [*given.text, *literal, *(read_lines(given.queries) if given.queries else ())]
    if not texts and given.like is None:
        raise ValueError("Nothing to search for: give words in quotes, --queries FILE or --like VIDEO.")
    given.output.check()
    index = VideoIndex.open(
        given.index,
        model=given.model,
        backbone_weights=given.backbone_weights,
        tokenizer=given.tokenizer,
        device=given.device,
    )
    try:
        chosen = index.filter(given.where, given.path)
        if chosen != Filter() and not any(map(make_test(chosen), index.files().values())):
            print("warning: no video of the index meets the conditions of --where and --path.", file=sys.stderr)
        options: dict[str, Any] = {"top_k": given.top_k, "filter": chosen, "shortlist": given.shortlist}
        options |= {"moments": given.moments, "min_score": given.min_score}
        texts_only = {"subtitle_weight": given.subtitle_weight}
        if given.combine:
            found, like = (
                [(_join(texts, given.like), _search_combined(index, texts, given.like, options | texts_only))],
                [],
            )
        else:
            found = _search_each(index, texts, options | texts_only)
            like = [] if given.like is None else [(given.like, index.search_like(given.like, **options))]
        warnings = {text: index.query_warning(split_query(text)[0]) for text in texts}
    finally:
        index.close()
    for text, warning in warnings.items():
        if warning is not None:
            print(f"warning: {escape_unprintable(text)}: {escape_unprintable(warning)}", file=sys.stderr)
    for question, videos in (*found, *((f"like {name}", videos) for name, videos in like)):
        print(escape_unprintable(question))
        print("\n".join(_table(videos)) or "  nothing found")
    if given.json is not None:
        queries = [{"text": text, "found": [_as_json(video) for video in videos]} for text, videos in found]
        queries += [{"like": name, "found": [_as_json(video) for video in videos]} for name, videos in like]
        write_json(given.json, {"queries": queries})
    named = [*found, *like]
    if given.output.needs_times:
        allowed = allowed_addresses(given.index, given.allow_addresses)
        for path in {one.file.path for _, results in named for one in results}:
            allowed.check(path)
    given.output.write(_to_moments(named), title=", ".join(name for name, _ in named))
    return 0


def _search_each(
    index: "VideoIndex", texts: Sequence[str], options: dict[str, Any]
) -> list[tuple[str, list["SearchResult"]]]:
    """The results of each text. Texts without unwanted parts go through the model in one batch."""
    from side4video.search.combined import split_query

    plain = [text for text in texts if not split_query(text)[1]]
    answers = iter(index.search_many(plain, **options) if plain else ())
    return [
        (text, _search_combined(index, [text], None, options) if split_query(text)[1] else next(answers))
        for text in texts
    ]


def _search_combined(
    index: "VideoIndex", texts: Sequence[str], like: str | None, options: dict[str, Any]
) -> list["SearchResult"]:
    from side4video.search.combined import split_query

    parts = [split_query(text) for text in texts]
    unwanted = [text for _, some in parts for text in some]
    return index.search_combined([wanted for wanted, _ in parts if wanted], like=like, unwanted=unwanted, **options)


def _join(texts: Sequence[str], like: str | None) -> str:
    return " + ".join([*texts, *([] if like is None else [f"like {like}"])])


def _split_at_separator(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The arguments before `--`, and the texts after it."""
    place = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:place], arguments[place + 1 :]


def _to_moments(named: Sequence[tuple[str, Sequence["SearchResult"]]]) -> list["Moment"]:
    from side4video.moments.moment import Moment
    from side4video.video.remote import is_address, video_path

    return [
        Moment(
            video_path(one.file.path) if is_address(one.file.path) else Path(one.file.path),
            one.start_seconds,
            one.end_seconds,
            name,
            one.score,
        )
        for name, results in named
        for one in results
    ]


def _table(videos: Sequence["SearchResult"]) -> list[str]:
    rows = [(_shown_path(video.file.path), _span(video), ", ".join(map(_moment, video.matches))) for video in videos]
    widths = [max((len(row[place]) for row in rows), default=0) for place in (0, 1)]
    return [
        line
        for place, (video, (path, span, moments)) in enumerate(zip(videos, rows, strict=True), start=1)
        for line in (
            f"{place:4}. {video.score:6.3f}  {path:{widths[0]}}  {span:{widths[1]}}  {moments}".rstrip(),
            *map(_cue, video.subtitles),
        )
    ]


def _cue(cue: "SubtitleMatch") -> str:
    """A line of subtitles with the found words in brackets."""
    from side4video.checking.escaping import escape_unprintable
    from side4video.moments.moment import clock_time

    return f"{'':14}{clock_time(cue.start_seconds, decimals=1)}  {escape_unprintable(cue.marked('[', ']'))}"


def _span(video: "SearchResult") -> str:
    from side4video.moments.moment import clock_time

    return f"{clock_time(video.start_seconds)}-{clock_time(video.end_seconds)}"


def _moment(match: "Match") -> str:
    from side4video.moments.moment import clock_time

    return f"{match.word} {clock_time(match.seconds, decimals=1)}".strip()


def _shown_path(path: str) -> str:
    from side4video.checking.escaping import escape_unprintable

    here = Path.cwd()
    return escape_unprintable(str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path)


def _as_json(video: "SearchResult") -> dict[str, Any]:
    from side4video.search.stores.serialisation import path_to_text

    return {
        "path": path_to_text(video.file.path),
        "score": video.score,
        "start_seconds": video.start_seconds,
        "end_seconds": video.end_seconds,
        "matches": [
            {"word": match.word, "seconds": match.seconds, "similarity": match.similarity} for match in video.matches
        ],
        "subtitle_score": video.subtitle_score,
        "subtitles": [asdict(cue) for cue in video.subtitles],
        "metadata": dict(video.file.metadata),
    }
