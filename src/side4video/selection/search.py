"""Compares candidates by cross-validation on the training clips and chooses one. It reads no test clip."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial, reduce
from pathlib import Path
from typing import Any

import numpy as np

from side4video.config import PROBES, ProbeName, RunConfig
from side4video.models.backbones.loading import FrozenBackbone
from side4video.models.video_model import build_backbone, build_video_model, choose_device
from side4video.selection.candidates import Candidate, Effort, changed, frame_choices, probe_candidates, side_candidates
from side4video.selection.fold_results import (
    MAX_LOSS,
    FoldResults,
    SearchResult,
    choose,
    error_of_difference,
    guess_classes,
    log_loss,
)
from side4video.selection.side_folds import SideFolds
from side4video.system.tables import Console
from side4video.tasks.recognition.baselines import training_folds, training_tokens
from side4video.tasks.recognition.data import (
    RecognitionData,
    announce,
    as_evaluated,
    read_data,
    refuse_several_labels,
)
from side4video.tasks.recognition.folds import Folds
from side4video.tasks.recognition.metrics import label_ranks
from side4video.tasks.recognition.probe_fitting import ChosenProbe, choose_probe
from side4video.tasks.recognition.probe_tokens import ProbeTokens

FIRST_FOLDS = 2
"""Folds of the first round; a candidate clearly worse than the best there is not tried on the other folds."""
DIRECTED: tuple[ProbeName, ...] = ("space-time", "correlation", "flow")
"""Probes that tell directions, with which the search checks whether mirrored clips contradict the classes."""
SURVIVORS = 2
"""One in this many side networks continues after the first round."""


class Search:
    """A search in a run folder; its sub-folder `search` stores the result of every finished candidate and fold.

    Args:
        config: settings of the run; `config.search` sets the effort.
        out: the run folder.

    Raises:
        DataError, ValueError: the training clips or the model cannot be used.

    >>> from side4video.adapters.adapter import read_adapter
    >>> config = read_adapter(Path("adapter")).config.model_copy(update={"search": "quick"})
    >>> search = Search(config, Path("run"))  # doctest: +ELLIPSIS
    train: clips/train: Read as folder. 4 videos, ...
    >>> search.effort, search.data.class_names
    ('quick', ('anticlockwise', 'clockwise'))
    """

    def __init__(self, config: RunConfig, out: Path) -> None:
        assert config.search != "off"
        self.effort: Effort = config.search
        self.folder, self.out = out / "search", out
        cache = config.data.cache or self.folder / "tokens"
        self.config = changed(config, {"data": {"cache": str(cache), "test": None}})
        data = read_data(config.data, seed=config.seed)  # with the test list, so that its faults end the run now
        announce(data, config)
        refuse_several_labels(data, "The search", "add --search off to train one side network")
        if data.train is None:
            raise ValueError("No training set: give --data.train.")
        self.data: RecognitionData = replace(data, test=None)
        self.flip_changes: dict[str, dict[str, Any]] = {}
        self._known: defaultdict[str, dict[ProbeName, ChosenProbe]] = defaultdict(dict)
        """For each sampling, with mirrored clips or without: options of the families that were tried."""
        self.groups: dict[int, int] = {}
        """Number of each clip's group."""
        self._seconds: dict[Path, float] = {}
        """Duration of each part of the search, by the file of its result."""
        self.device = choose_device(config.train.device)
        self.backbone: FrozenBackbone = build_backbone(self.config, device=self.device)
        rows, frames = math.isqrt(self.backbone.num_patches), self.config.data.num_frames
        self.sides = {one.name: one for one in side_candidates(self.effort, rows=rows, num_frames=frames)}
        built = [  # now, so that settings that do not suit the backbone are refused before probes are compared
            build_video_model(
                changed(self.config, one.changes),
                num_classes=len(data.class_names),
                device=self.device,
                backbone=self.backbone,
            )
            for one in self.sides.values()
        ]
        self.cached_blocks = sorted({block for model in built for block in model.side.taps})

    def run(self) -> SearchResult:
        """Try all candidates, print the table and store it as search.json."""
        started = time.monotonic()
        probes, folds, places, notes = self._try_probes()
        if not folds.parts:
            chosen = FoldResults("linear probe", 0, {"probe": {"name": "linear"}}, {}, {}, 0.0)
            reason = "linear probe: the simplest candidate, because no two could be compared."
            result = SearchResult((), chosen.name, reason, time.monotonic() - started, notes, 0)
            self.changes = chosen.changes
        else:
            tried = [*probes, *self._try_sides(probes, folds, places)]
            complete = [one for one in tried if len(one.right) == len(folds.scored)]
            found, reason = choose(complete, self.groups)
            self.changes = found.changes | self.flip_changes
            seconds, guess = sum(self._seconds.values()), self._guess(folds, places)
            result = SearchResult(
                tuple(tried), found.name, reason, seconds, notes, len(folds.scored), guess, self.groups
            )
            Console().print(result.table())
        print(f"Chosen: {result.reason} The search took {result.seconds:.0f} s.")
        if result.warning:
            print(result.warning)
        result.write(self.out)
        return result

    def _guess(self, folds: Folds, places: np.ndarray) -> FoldResults:
        assert self.data.train is not None
        videos = as_evaluated(self.data.train, self.config.data)
        return guess_classes(np.array([videos[place].label for place in places]), places, folds)

    def _try_probes(self) -> tuple[list[FoldResults], Folds, np.ndarray, tuple[str, ...]]:
        """Try each family of probes on all folds; return results, folds, list index of each clip, and notes.

        All candidates are compared on the clips that can be read with both samplings.
        """
        samplings = frame_choices(self.config).values()
        places = reduce(np.intersect1d, (self._tokens(self.config, data).places for data in samplings))
        folds, notes = training_folds(places, self.config, self.data)
        if folds.groups is not None:
            self.groups = dict(zip(places.tolist(), folds.groups.tolist(), strict=True))
        for note in notes:
            print(note)
        if not folds.parts:
            return [], folds, places, notes
        if self.config.augment.flip and (switched := self._check_flip(folds, places)):
            print(switched)
            notes = (*notes, switched)
        return self._try_families(PROBES, self.config, folds, places), folds, places, notes

    def _check_flip(self, folds: Folds, places: np.ndarray) -> str | None:
        """Switch mirrored clips off, with a note, if the best probe of directions is clearly better without them."""
        without = changed(self.config, {"augment": {"flip": 0.0}})
        found = [self._try_families(DIRECTED, config, folds, places) for config in (without, self.config)]
        if not all(found):
            return None  # clips of one frame: there are no probes of directions
        plain, mirrored = (min(tried, key=lambda one: one.loss) for tried in found)
        difference, error = error_of_difference(plain, mirrored, self.groups)
        if difference <= error:
            return None
        flip, self.config, self.flip_changes = self.config.augment.flip, without, {"augment": {"flip": 0.0}}
        return (
            f"note: augment.flip {flip} -> 0: mirrored clips contradict the classes. Held-out clips have a log loss of "
            f"{plain.loss:.2f} without them ({plain.name}) and of {mirrored.loss:.2f} with them ({mirrored.name})."
        )

    def _try_families(
        self, families: Sequence[ProbeName], config: RunConfig, folds: Folds, places: np.ndarray
    ) -> list[FoldResults]:
        """Try families of probes with each sampling."""
        part = "all" if config.augment.flip else "unmirrored"
        candidates = [one for one in probe_candidates(config, self.effort) if one.probe in families]
        tried = {}
        for sampling, data in frame_choices(config).items():
            tokens, known = self._tokens(config, data).only(places), self._known[f"{sampling} {part}"]
            for one in candidates:
                if one.changes.get("data", {}) == data:
                    tried[one.name] = self._kept(one, part, partial(self._probe, one, tokens, folds, known))
        return [tried[one.name] for one in candidates]

    def _tokens(self, config: RunConfig, data: dict[str, Any]) -> ProbeTokens:
        """The tokens of the training clips with other settings of `data`: computed once, then read from the cache."""
        return training_tokens(changed(config, {"data": data}), self.data, self.backbone)

    def _probe(
        self, candidate: Candidate, tokens: ProbeTokens, folds: Folds, known: dict[ProbeName, ChosenProbe]
    ) -> FoldResults:
        """Try one family; `known` gets its options, for a combined probe."""
        assert candidate.probe is not None
        started = time.monotonic()
        count = len(self.data.class_names)
        chosen = choose_probe(candidate.probe, tokens, folds, num_classes=count, seed=self.config.seed, known=known)
        known[candidate.probe] = chosen
        assert chosen.found is not None
        places = tokens.places[folds.scored].tolist()
        changes = candidate.changes | {"probe": chosen.config.model_dump(mode="json")}
        right = dict(zip(places, chosen.found.right, strict=True))
        losses = {place: min(loss, MAX_LOSS) for place, loss in zip(places, chosen.found.losses, strict=True)}
        return FoldResults(candidate.name, candidate.level, changes, right, losses, time.monotonic() - started)

    def _try_sides(self, probes: list[FoldResults], folds: Folds, places: np.ndarray) -> list[FoldResults]:
        """Try side networks: all on the first folds, the best on the others.

        Their frames are those of the settings, or of the best probe if no probe on the frames of the settings is
        within one standard error of it. (If no probe can tell the classes apart, probes cannot choose frames either.)
        """
        best = min(probes, key=lambda one: one.loss)
        own = min((one for one in probes if "data" not in one.changes), key=lambda one: one.loss)
        difference, error = error_of_difference(best, own, self.groups)
        data = best.changes.get("data", {}) if difference > error else {}
        first = range(min(FIRST_FOLDS, len(folds.parts)))
        tried = {name: self._side(one, data, folds, places, first) for name, one in self.sides.items()}
        going_on = sorted(tried.values(), key=lambda one: one.loss)[: -(-len(tried) // SURVIVORS)]
        for one in going_on:
            difference, error = error_of_difference(best, one, self.groups)
            if difference > 2 * error:
                continue
            rest = range(len(first), len(folds.parts))
            if rest:
                tried[one.name] = one.joined(self._side(self.sides[one.name], data, folds, places, rest))
        return list(tried.values())

    def _side(self, candidate: Candidate, data: dict, folds: Folds, places: np.ndarray, numbers: range) -> FoldResults:
        """Try one side network on some folds; quick searches train for half of the epochs."""
        changes = candidate.changes | ({"data": data} if data else {})
        config = changed(self.config, changes)
        if self.effort == "quick":
            config = changed(config, {"train": {"epochs": max(1, config.train.epochs // 2)}})
        results = []
        sides = SideFolds(config, self.data, self.backbone, self.device, cached_blocks=self.cached_blocks)
        for number in numbers:
            train, held = (places[part] for part in folds.parts[number])

            def try_fold(train: np.ndarray = train, held: np.ndarray = held) -> FoldResults:
                started = time.monotonic()
                scored = sides.scores(train, held, self.groups)
                right = {
                    place: bool(label_ranks(scores[None], np.array([label])) == 1)
                    for place, (scores, label) in scored.items()
                }
                losses = {place: log_loss(float(scores[label])) for place, (scores, label) in scored.items()}
                return FoldResults(candidate.name, candidate.level, changes, right, losses, time.monotonic() - started)

            results.append(self._kept(candidate, f"fold{number}", try_fold))
        joined = results[0]
        for one in results[1:]:
            joined = joined.joined(one)
        return joined

    def _kept(self, candidate: Candidate, part: str, compute: Callable[[], FoldResults]) -> FoldResults:
        """Load a stored result, or compute and store it."""
        path = self.folder / f"{candidate.file_name}-{part}.json"
        if path.is_file():
            result = FoldResults.read(path)
        else:
            print(f"search: {candidate.name}, {part}", flush=True)
            result = compute()
            result.write(path)
        self._seconds[path] = result.seconds
        return result
