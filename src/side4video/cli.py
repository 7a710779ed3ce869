"""The command line: `side4video COMMAND ...`. Commands import what they need when they run: help comes at once."""

import difflib
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console
from rich.table import Table

from side4video.config import (
    MODEL_PRESETS,
    BackboneConfig,
    DataConfig,
    EvalConfig,
    RunConfig,
    TextConfig,
    load_config,
    parse_config,
    recipe_names,
    recipe_text,
)

if TYPE_CHECKING:
    from side4video.tasks.evaluation import UnreadVideo
    from side4video.tasks.task import Scores

USER_ERRORS = (ValueError, FileNotFoundError, ModuleNotFoundError, RuntimeError, OSError, FloatingPointError)


@dataclass(frozen=True)
class TrainArguments:
    """Train a side network and leave adapters, logs, scores and a report in a run folder."""

    config: Annotated[RunConfig, tyro.conf.arg(name="")]
    out: Path
    """Run folder: best/ and last/ adapters, log.jsonl, metrics.csv, evaluation.json, report.html."""
    resume: bool = False
    """Continue the run in the run folder where it was cut off."""
    init_from: Path | None = None
    """Adapter to start from; a classifier for other classes is dropped and reported."""
    license: str | None = None
    """Licence of the trained adapter, stated in its card: the hub's short name, such as mit. By default none."""


@dataclass(frozen=True)
class EvaluateArguments:
    """Score an adapter on videos with classes or, for retrieval, with captions."""

    data: DataConfig
    eval: EvalConfig
    backbone_weights: str | None = None
    """Local weights of the backbone; by default what training used."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    json: Path | None = None
    """Where the scores, every prediction and every unreadable file go; by default evaluation.json in the adapter, or
    for one from the hub a file in the current folder."""


@dataclass(frozen=True)
class ZeroShotArguments:
    """Score a CLIP model on videos with classes without training: class names are put into sentences."""

    backbone: BackboneConfig
    text: TextConfig
    data: DataConfig
    eval: EvalConfig
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    json: Path | None = None
    """Where the scores, every prediction and every unreadable file go."""


@dataclass(frozen=True)
class PredictArguments:
    """Name what happens in videos, or with --text find those that a sentence describes."""

    adapter: tyro.conf.Positional[Path]
    """Adapter folder, run folder (its best adapter is taken), or name on the Hugging Face hub: user/name."""
    videos: tyro.conf.Positional[tuple[str, ...]]
    """Video files, folders and glob patterns."""
    text: tuple[str, ...] = ()
    """Sentences to rank the videos by; needs an adapter trained for retrieval."""
    top_k: int = 5
    """Classes to name, or videos to show for a sentence."""
    clips: int = 1
    """Clips per video whose scores are averaged."""
    crops: int = 1
    """Crops per clip: 1, 3, 5 or 10."""
    backbone_weights: str | None = None
    """Local weights of the backbone; by default what training used."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    json: Path | None = None
    """Also write the predictions to this file."""


@dataclass(frozen=True)
class EmbedArguments:
    """Write what a retrieval adapter knows of videos and sentences to a file."""

    adapter: tyro.conf.Positional[Path]
    """Adapter folder, run folder (its best adapter is taken), or name on the Hugging Face hub: user/name."""
    videos: tyro.conf.Positional[tuple[str, ...]]
    """Video files, folders and glob patterns."""
    out: Path
    """A .npz or .safetensors file."""
    text: tuple[str, ...] = ()
    """Sentences."""
    backbone_weights: str | None = None
    """Local weights of the backbone; by default what training used."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""


@dataclass(frozen=True)
class ConvertArguments:
    """Make an adapter of an official checkpoint, with the settings that it was trained with."""

    config: Annotated[RunConfig, tyro.conf.arg(name="")]
    out: Path
    """Adapter folder."""


@dataclass(frozen=True)
class ConvertBackArguments:
    """Write an adapter's tensors under the official names."""

    out: Path
    """A .pt file."""


@dataclass(frozen=True)
class ShareArguments:
    """Put an adapter on the Hugging Face hub, or with --folder on this disk alone: only what others need of it."""

    adapter: tyro.conf.Positional[Path]
    """Adapter folder, or run folder (its best adapter is taken)."""
    name: tyro.conf.Positional[str]
    """user/name on the hub; made where it is not there."""
    private: bool = False
    """Only its owner can read a repository that is made now."""
    license: str | None = None
    """The hub's short name of a licence, such as mit; by default that of the card that is there, if any."""
    dataset: str | None = None
    """Name of the data set in the card; by default the official one's, or that of its file or folder."""
    folder: Path | None = None
    """Write what would be uploaded to this folder instead: no connection and no token."""


@dataclass(frozen=True)
class ExportArguments:
    """Write an adapter and its backbone as one model that runs without this package."""

    adapter: tyro.conf.Positional[Path]
    """Adapter folder, run folder (its best adapter is taken), or name on the Hugging Face hub: user/name."""
    out: tyro.conf.Positional[Path]
    """A .onnx file (needs the extra `export`), or a .pt2 file of torch.export."""
    backbone_weights: str | None = None
    """Local weights of the backbone; by default what training used."""


@dataclass(frozen=True)
class MemoryArguments:
    """Say what memory a training step will need, without loading weights or using a GPU.

    It is planned for a GPU unless --train.device is cpu.
    """

    config: Annotated[RunConfig, tyro.conf.arg(name="")]
    card: str | None = None
    """Memory of the card: 24GB, 80GiB, 8000MB. By default that of the GPU here, else 24GB; for a CPU this machine's."""
    classes: int = 174
    """Classes of the classifier."""
    measure: bool = False
    """Also take three real steps, with random weights on random clips, on the GPU or else on the CPU."""
    json: Path | None = None
    """Also write everything to this file, in bytes."""


def train(arguments: list[str]) -> int:
    """Train on a folder of own clips or a data set: train RECIPE [--data.train ...] [--out ...]."""
    recipe, rest = _take_positional(arguments, "train", f"RECIPE: a YAML file or one of {', '.join(recipe_names())}")
    default = TrainArguments(config=load_config(recipe), out=Path("runs") / Path(recipe).stem)
    given = tyro.cli(TrainArguments, prog=f"side4video train {recipe}", args=rest, default=default)

    from side4video.model_card import CardFacts, write_model_card
    from side4video.processes import is_main_process
    from side4video.run_report import frozen_beside_trained, write_run_report
    from side4video.training.loop import train as run
    from side4video.training.out_of_memory import TrainingMemoryError

    facts = CardFacts(license=given.license)  # wrong ones are refused before hours of work
    failure = None
    try:
        result = run(given.config, out=given.out, resume=given.resume, init_from=given.init_from)
    except TrainingMemoryError as error:
        failure = TrainingMemoryError(error.reason, moment=error.moment, num_classes=error.num_classes)
    if failure is not None:  # out of the handler, so that the tensors of the run are gone by now
        from side4video.memory.command import advise_after_failure

        print(advise_after_failure(given.config, failure, out=given.out), file=sys.stderr)
        return 2
    if not is_main_process():
        return 0
    refused = None if result.evaluation is None else _refusal(result.evaluation, given.config.eval)
    if result.evaluation is not None:
        if refused is None:
            _print_scores(result.evaluation, max_classes=50)
            for name, score in frozen_beside_trained(given.out).items():
                print(f"{name:45} {score:6.1%}")
        print(f"report: {write_run_report(given.out)}")
    write_model_card(given.out, facts)
    print(f"adapter: {given.out / ('last' if result.evaluation is None else 'best')}")
    return 0 if refused is None or result.evaluation is None else _refuse(refused, result.evaluation.unread)


def evaluate(arguments: list[str]) -> int:
    """Score an adapter on labelled or captioned videos: evaluate ADAPTER [--data.test ...] [--eval.crops 3]."""
    folder, rest = _take_positional(arguments, "evaluate", "ADAPTER: an adapter folder or a run folder")
    from side4video.adapter import find_adapter, read_adapter
    from side4video.hub import is_downloaded

    settings = read_adapter(Path(folder)).config
    retrieval = settings.task == "retrieval"
    default = EvaluateArguments(data=settings.data, eval=settings.eval)
    given = tyro.cli(EvaluateArguments, prog=f"side4video evaluate {folder}", args=rest, default=default)

    from side4video.files import write_json
    from side4video.tasks.evaluation import NoneReadError

    if retrieval:
        from side4video.tasks.retrieval import evaluate_retrieval_adapter as evaluate_adapter
    else:
        from side4video.tasks.recognition import evaluate_adapter  # type: ignore[assignment]

    try:
        evaluation = evaluate_adapter(
            Path(folder),
            data=given.data,
            settings=given.eval,
            device=given.device,
            backbone_weights=given.backbone_weights,
        )
    except NoneReadError as error:
        return _refuse(str(error), error.unread, given.json)
    if refused := _refusal(evaluation, given.eval):
        return _refuse(refused, evaluation.unread, given.json)
    _print_scores(evaluation)
    found = find_adapter(Path(folder))
    place = Path(f"evaluation-{folder.replace('/', '-')}.json") if is_downloaded(found) else found / "evaluation.json"
    path = given.json or place  # nothing is written among what was downloaded
    write_json(path, evaluation.to_json())
    print(f"written to {path}")
    return 1 if evaluation.unread else 0


def zero_shot(arguments: list[str]) -> int:
    """Score a CLIP model without training, by class names: zero-shot RECIPE [--data.test ...] [--text.prompts ...]."""
    recipe, config, rest = _take_model(arguments, "zero-shot")
    default = ZeroShotArguments(backbone=config.backbone, text=config.text, data=config.data, eval=config.eval)
    given = tyro.cli(ZeroShotArguments, prog=f"side4video zero-shot {recipe}", args=rest, default=default)

    from side4video.files import write_json
    from side4video.tasks.evaluation import NoneReadError
    from side4video.tasks.zero_shot import evaluate_zero_shot

    train = config.train.model_copy(update={"device": given.device})
    parts = {"backbone": given.backbone, "text": given.text, "data": given.data, "eval": given.eval, "train": train}
    try:
        evaluation = evaluate_zero_shot(config.model_copy(update=parts))
    except NoneReadError as error:
        return _refuse(str(error), error.unread, given.json)
    if refused := _refusal(evaluation, given.eval):
        return _refuse(refused, evaluation.unread, given.json)
    _print_scores(evaluation)
    if given.json is not None:
        write_json(given.json, evaluation.to_json())
        print(f"written to {given.json}")
    return 1 if evaluation.unread else 0


def predict(arguments: list[str]) -> int:
    """Name what happens in videos: predict ADAPTER VIDEOS... [--top-k 5] [--json FILE]."""
    given = tyro.cli(PredictArguments, prog="side4video predict", args=arguments)

    from side4video.adapter import read_adapter
    from side4video.files import write_json
    from side4video.predict import Predictor, expand_inputs
    from side4video.video.decoding import VideoError

    task = read_adapter(given.adapter).config.task
    if (task == "retrieval") != bool(given.text):
        remedy = "give --text, what to look for" if task == "retrieval" else "leave out --text, it names classes"
        raise ValueError(f"{given.adapter} was trained for {task}: {remedy}.")
    paths = list(expand_inputs(given.videos))
    if given.text:
        return _rank(given, paths)
    predictor = Predictor(
        given.adapter,
        backbone_weights=given.backbone_weights,
        device=given.device,
        num_clips=given.clips,
        num_crops=given.crops,
    )
    predictions, failures = [], []
    for path in paths:
        try:
            found = predictor.predict_video(path, top_k=given.top_k)
        except VideoError as error:
            failures.append({"path": str(path), "reason": error.reason})
            print(f"{path}: {error.reason}", file=sys.stderr)
            continue
        named = ", ".join(f"{best.name} {best.score:.1%}" for best in found.classes)
        print(f"{path}: {named} ({found.seconds:.2f} s)")
        classes = [{"name": best.name, "score": best.score} for best in found.classes]
        predictions.append({"path": str(path), "classes": classes, "seconds": found.seconds})
    if given.json is not None:
        write_json(given.json, {"predictions": predictions, "unread": failures})
    return 1 if failures else 0


def _rank(given: PredictArguments, paths: list[Path]) -> int:
    """Print the best videos for each sentence."""
    from side4video.embed import Embedder
    from side4video.files import write_json

    embedder = Embedder(given.adapter, backbone_weights=given.backbone_weights, device=given.device)
    videos = embedder.embed_videos(paths)
    found = embedder.rank(given.text, videos, top_k=given.top_k)
    for text, best in zip(given.text, found, strict=True):
        print(text)
        for place, (path, score) in enumerate(best, start=1):
            print(f"  {place}. {path} {score:.3f}")
    for failure in videos.unread:
        print(f"{failure.name}: {failure.reason}", file=sys.stderr)
    if given.json is not None:
        queries = [
            {"text": text, "videos": [{"path": path, "score": score} for path, score in best]}
            for text, best in zip(given.text, found, strict=True)
        ]
        unread = [{"path": failure.name, "reason": failure.reason} for failure in videos.unread]
        write_json(given.json, {"queries": queries, "unread": unread})
    return 1 if videos.unread else 0


def embed(arguments: list[str]) -> int:
    """Write embeddings of videos and sentences to a file: embed ADAPTER [VIDEOS...] [--text ...] --out FILE."""
    given = tyro.cli(EmbedArguments, prog="side4video embed", args=arguments)

    from side4video.embed import Embedder, check_embedding_file, write_embeddings
    from side4video.predict import expand_inputs

    check_embedding_file(given.out)
    if not given.videos and not given.text:
        raise ValueError("Nothing to embed: give videos, --text, or both.")
    paths = list(expand_inputs(given.videos))
    embedder = Embedder(given.adapter, backbone_weights=given.backbone_weights, device=given.device)
    videos = embedder.embed_videos(paths) if paths else None
    write_embeddings(given.out, videos=videos, texts=embedder.embed_texts(given.text) if given.text else None)
    unread = () if videos is None else videos.unread
    for failure in unread:
        print(f"{failure.name}: {failure.reason}", file=sys.stderr)
    print(f"{len(paths) - len(unread)} videos and {len(given.text)} sentences: {given.out}")
    return 1 if unread else 0


def convert(arguments: list[str]) -> int:
    """Make an adapter of an official checkpoint, or the reverse: convert FILE RECIPE --out FOLDER."""
    source, rest = _take_positional(arguments, "convert", "FILE RECIPE --out ADAPTER, or ADAPTER --out FILE")
    if Path(source).is_dir():
        back = tyro.cli(ConvertBackArguments, prog=f"side4video convert {source}", args=rest)
        from side4video.convert import official_from_adapter

        print(f"{official_from_adapter(Path(source), out=back.out)} tensors under their official names: {back.out}")
        return 0
    recipe, rest = _take_positional(
        rest, f"convert {source}", f"RECIPE: a YAML file or one of {', '.join(recipe_names())}"
    )
    prog = f"side4video convert {source} {recipe}"
    given = tyro.cli(
        ConvertArguments, prog=prog, args=rest, default=ConvertArguments(load_config(recipe), Path("adapter"))
    )
    from side4video.convert import adapter_from_official

    adapter = adapter_from_official(Path(source), given.config, out=given.out)
    print(f"{adapter.config.task}, {len(adapter.class_names)} classes, on {adapter.config.backbone.name}: {given.out}")
    return 0


def share(arguments: list[str]) -> int:
    """Put an adapter and its card on the Hugging Face hub: share ADAPTER USER/NAME [--private] [--license mit]."""
    given = tyro.cli(ShareArguments, prog="side4video share", args=arguments)

    from side4video.share import push_to_hub, save_shareable

    if given.folder is not None:
        files = save_shareable(
            given.adapter, given.folder, name=given.name, license=given.license, dataset=given.dataset
        )
        print(f"written: {', '.join(map(str, files))}")
        return 0
    address = push_to_hub(
        given.adapter, given.name, private=given.private, license=given.license, dataset=given.dataset
    )
    print(f"shared: {address}")
    return 0


def export(arguments: list[str]) -> int:
    """Write an adapter and its backbone as one model: export ADAPTER OUT.onnx|OUT.pt2."""
    given = tyro.cli(ExportArguments, prog="side4video export", args=arguments)

    from side4video.export import export_adapter

    made = export_adapter(given.adapter, given.out, backbone_weights=given.backbone_weights)
    print(f"{made.num_bytes / 1e6:.1f} MB, within {made.largest_difference:.1e} of PyTorch's outputs")
    print(f"written to {', '.join(map(str, made.files))}")
    return 0


def recipes(arguments: list[str]) -> int:
    """List the recipes with the paper's scores, parameters and memory, or print one: recipes [show NAME]."""
    if len(arguments) == 2 and arguments[0] == "show":
        print(recipe_text(arguments[1]), end="")
        return 0
    if arguments:
        raise ValueError(f"recipes {' '.join(arguments)}: expected nothing, or show NAME.")
    from side4video.recipe_figures import TABLE_NOTES, recipe_table

    console = Console()
    console.print(recipe_table())
    for note in TABLE_NOTES:
        console.print(note)
    return 0


def backbones(arguments: list[str]) -> int:
    """List image models: those with short names, one of them, or all with a part in their name: backbones [PART]."""
    from side4video.models.backbones import NAMED_BACKBONES, list_backbones, weights_source

    wanted = arguments[0] if arguments else ""
    if wanted and wanted not in NAMED_BACKBONES:
        names = [name for name in list_backbones() if wanted in name]
        if not names:
            raise ValueError(f"No backbone has {wanted!r} in its name.")
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
    print(
        f"{len(list_backbones())} models in all by timm's names: side4video backbones clip, or another part of a name"
    )
    return 0


def memory(arguments: list[str]) -> int:
    """Say whether a run will fit a card, in seconds and without one: memory RECIPE [--card 24GB] [--measure]."""
    recipe, config, rest = _take_model(arguments, "memory")
    default = MemoryArguments(config=config)
    given = tyro.cli(MemoryArguments, prog=f"side4video memory {recipe}", args=rest, default=default)

    from side4video.memory.command import plan_memory

    return plan_memory(
        given.config, card=given.card, num_classes=given.classes, measure=given.measure, json_path=given.json
    )


def check_data(arguments: list[str]) -> int:
    """Open every file of a data set, say what is wrong: check-data [RECIPE] [--data.train ...] [--data.test ...]."""
    recipe, config = "", None
    if arguments and not arguments[0].startswith("-"):
        recipe, config, arguments = _take_model(arguments, "check-data")

    from side4video.checking.command import CheckDataArguments
    from side4video.checking.command import check_data as check

    default = CheckDataArguments(data=config.data if config else DataConfig())
    given = tyro.cli(
        CheckDataArguments, prog=f"side4video check-data {recipe}".strip(), args=arguments, default=default
    )
    return check(given, config.task if config else None)


def demo(arguments: list[str]) -> int:
    """Make videos of moving shapes, learn from them, and write a report: demo [retrieval] [--out FOLDER]."""
    if arguments[:1] == ["retrieval"]:
        from side4video.demo.retrieval import RetrievalDemoArguments, run_retrieval_demo

        return run_retrieval_demo(
            tyro.cli(RetrievalDemoArguments, prog="side4video demo retrieval", args=arguments[1:])
        )
    if arguments and not arguments[0].startswith("-"):
        raise ValueError(f"There is no demonstration {arguments[0]!r}. Use demo or demo retrieval.")
    from side4video.demo.run import DemoArguments, run_demo

    return run_demo(tyro.cli(DemoArguments, prog="side4video demo", args=arguments))


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "check-data": check_data,
    "train": train,
    "evaluate": evaluate,
    "zero-shot": zero_shot,
    "predict": predict,
    "embed": embed,
    "convert": convert,
    "share": share,
    "export": export,
    "recipes": recipes,
    "backbones": backbones,
    "memory": memory,
    "demo": demo,
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 some videos are bad, 2 wrong input, 128 + a signal."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in {"-h", "--help"}:
        _print_help()
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        print(f"There is no command {name!r}.{hint} Commands: {', '.join(COMMANDS)}.", file=sys.stderr)
        return 2
    try:
        return COMMANDS[name](rest)
    except USER_ERRORS as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:  # training turns other signals into one that has an exit code of its own
        print(error if str(error) else "Stopped by SIGINT.", file=sys.stderr)
        return getattr(error, "exit_code", 128 + signal.SIGINT)


def _print_scores(evaluation: "Scores", *, max_classes: int | None = None) -> None:
    """The table of an evaluation, and the videos that are not in it."""
    Console().print(evaluation.table(max_classes=max_classes))
    for video in evaluation.unread:
        print(f"not read: {video.name}: {video.reason}")


def _refusal(evaluation: "Scores", settings: EvalConfig) -> str | None:
    """Why the scores of an evaluation are not reported, if that is so."""
    from side4video.tasks.evaluation import refuse_scores

    num_unread = len(evaluation.unread)
    return refuse_scores(num_read=evaluation.num_videos, num_unread=num_unread, max_unread=settings.max_unread)


def _refuse(refused: str, unread: "Sequence[UnreadVideo]", path: Path | None = None) -> int:
    """Say which videos could not be read in place of a score, also in the file `path`; returns the exit code."""
    for video in unread:
        print(f"not read: {video.name}: {video.reason}")
    print(refused, file=sys.stderr)
    if path is not None:
        from side4video.files import write_json

        rows = [{"name": video.name, "reason": video.reason} for video in unread]
        write_json(path, {"refused": refused, "unread": rows})
        print(f"written to {path}")
    return 1


def _print_help() -> None:
    print("usage: side4video COMMAND ...   (side4video COMMAND --help shows its settings)\n")
    for name, command in COMMANDS.items():
        print(f"  {name:10} {command.__doc__}")


def _take_model(arguments: list[str], command: str) -> tuple[str, RunConfig, list[str]]:
    """The recipe or model that the first argument names, its settings, and the other arguments."""
    presets = ", ".join(MODEL_PRESETS)
    names = f"RECIPE: a YAML file, one of {', '.join(recipe_names())}, or a model of {presets}"
    recipe, rest = _take_positional(arguments, command, names)
    is_model = recipe in MODEL_PRESETS and recipe not in recipe_names()
    return recipe, parse_config({"preset": recipe}, source=recipe) if is_model else load_config(recipe), rest


def _take_positional(arguments: list[str], command: str, what: str) -> tuple[str, list[str]]:
    """The first argument and the rest; `command --help` shows the settings of the default recipe."""
    if not arguments or arguments[0].startswith("-"):
        if arguments and arguments[0] in {"-h", "--help"} and command in {"train", "memory", "zero-shot"}:
            return "own-clips", arguments
        raise ValueError(f"usage: side4video {command} {what}, then flags; see side4video {command} --help.")
    return arguments[0], arguments[1:]
