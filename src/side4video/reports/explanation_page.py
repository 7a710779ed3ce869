"""Explanations of single videos: a page with heatmaps over the frames, and the numbers as JSON."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from side4video.atomic_files import write_json
from side4video.earlier_outputs import hash_files, refuse_other_files
from side4video.inference.explanation import Explanation
from side4video.inference.predictor import Predictor
from side4video.reports.report import ClipExample, write_report
from side4video.system.paths import relative_names


def check_explanation_files(folder: Path, videos: Sequence[Path]) -> None:
    """Check that `write_explanations` replaces only files that it wrote.

    Raises:
        FileExistsError: it would replace others.
    """
    names = relative_names(list(map(str, videos)))
    refuse_other_files([folder / name for name in names], (".html", ".json"), flag="--explain")


def write_explanations(
    predictor: Predictor, answers: Mapping[Path, str], folder: Path, *, videos: Sequence[Path] | None = None
) -> None:
    """Explain one class for each video, as an HTML page and a JSON file.

    The files are FOLDER/NAME.html and FOLDER/NAME.json. NAME is the path of the video, with its suffix, relative to the
    deepest folder that contains all videos.

    Args:
        predictor: the model.
        answers: path of each video -> the class to explain.
        folder: output folder, created if it does not exist; existing files are replaced.
        videos: all videos of the run, for the names. Default: those of `answers`.

    Raises:
        VideoError: a video cannot be read.
    """
    videos = list(answers) if videos is None else videos
    names = dict(zip(videos, relative_names(list(map(str, videos))), strict=True))
    for path, name in answers.items():
        place = folder / names[path]
        explanation = predictor.explain(path, classes=[name])
        page = place.with_name(f"{place.name}.html")
        write_explanation_page(page, explanation)
        write_json(place.with_name(f"{place.name}.json"), {**explanation.to_json(), "files": hash_files([page])})


def write_explanation_page(path: Path, explanation: Explanation) -> None:
    """Write one self-contained page with the evidence for each explained class."""
    first = explanation.classes[0]
    example = ClipExample(
        name=str(explanation.path),
        frames=explanation.pictures,
        predicted_class=first.name,
        score=first.score,
        explanation=explanation,
    )
    write_report(path, title=f"What the model looked at in {explanation.path.name}", examples=[example])
