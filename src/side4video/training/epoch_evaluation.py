"""Evaluates a run at the end of its epochs, keeps the best adapter, and decides about early stopping."""

import json
from pathlib import Path

from side4video.atomic_files import write_json
from side4video.distributed.processes import broadcast_buffers, is_main_process
from side4video.tasks.task import Scores, Task
from side4video.tasks.unread import reported_headline, withheld_scores_reason
from side4video.training.run_log import RunLog
from side4video.training.stopping import StopSignals, TrainingStopped
from side4video.training.training_state import TrainingState

EVALUATION = "evaluation.json"
"""File in the run folder: the evaluation of best/, by which it was selected."""


class EpochEvaluator:
    """Scores the test set at the end of an epoch and saves the adapters `last` and `best`.

    Args:
        state: state of the run.
        log: log of the run.
        stop: signals that interrupt an evaluation immediately.

    >>> import torch
    >>> from side4video.adapters.adapter import read_adapter
    >>> from side4video.training.build_task import build_task
    >>> config, device, out = read_adapter(Path("adapter")).config, torch.device("cpu"), Path("evaluated")
    >>> out.mkdir()
    >>> state = TrainingState(config, out, device, build_task(config, device), resume=False)  # doctest: +ELLIPSIS
    train: clips/train: Read as folder. 4 videos, ...
    >>> log = RunLog(out, total_steps=2, silent=True)
    >>> EpochEvaluator(state, log, StopSignals()).end_epoch(1, seconds=0.5)
    >>> sorted(path.name for path in out.iterdir() if path.is_dir())
    ['best', 'last']
    """

    def __init__(self, state: TrainingState, log: RunLog, stop: StopSignals) -> None:
        self.config, self.out, self.task = state.config, state.out, state.task
        self.state, self.progress, self.log, self.stop = state, state.progress, log, stop

    def end_epoch(self, epoch: int, seconds: float) -> None:
        """Evaluate if the epoch is due for it, then save the adapters and a checkpoint.

        Args:
            epoch: number of completed epochs.
            seconds: duration of the epoch, for the log.
        """
        settings = self.config
        last = epoch == settings.train.epochs
        broadcast_buffers(self.task.model)  # BatchNorm's running statistics of the main process
        if self.task.has_test_set and (last or epoch % settings.eval.every == 0):
            evaluation = self._evaluate()
            headline = reported_headline(evaluation.headline(), max_unread=settings.eval.max_unread)
            self.log.write("evaluation", self.progress.step, epoch=epoch, epoch_seconds=seconds, **headline)
            self._update_best(evaluation, epoch)
            self.state.save_adapter("last", evaluation, epochs=epoch)
        elif not self.task.has_test_set:
            self.state.save_adapter("last", None, epochs=epoch)
        self.progress.evaluation_due = False
        self.state.checkpoint()

    def _update_best(self, evaluation: Scores, epoch: int) -> None:
        """Save the adapter if it is the best so far; one without a score only until one has a score."""
        name = self.config.train.best_by
        score = evaluation.metric(name)
        refused = withheld_scores_reason(
            num_read=evaluation.num_videos,
            num_unread=len(evaluation.unread),
            max_unread=self.config.eval.max_unread,
        )
        if refused is None and score is None:
            refused = f"No score: {name} is undefined, because none of the class's videos could be read."
        if refused is not None or score is None:
            self.log.print(str(refused))
            if self.progress.best_score >= 0:
                return
        elif score > self.progress.best_score:
            self.progress.best_score, self.progress.evaluations_since_best = score, 0
        else:
            self.progress.evaluations_since_best += 1
            patience = self.config.train.patience
            self.progress.stopped_early = patience is not None and self.progress.evaluations_since_best >= patience
            return
        self.state.save_adapter("best", evaluation, epochs=epoch)
        if is_main_process():
            write_json(self.out / EVALUATION, evaluation.to_json())

    def _evaluate(self) -> Scores:
        """Score the test set; if this is interrupted, save the state, so that a resumed run only repeats this."""
        try:
            with self.stop.raising_immediately(
                f"The state of step {self.progress.step} was saved. --resume evaluates it and continues."
            ):
                return self.task.evaluate()
        except (Exception, TrainingStopped):
            self.state.save_after_error()
            raise


def read_best_evaluation(out: Path, task: Task) -> Scores | None:
    """The evaluation of a run's best adapter; None without an evaluation set."""
    path = out / EVALUATION
    return task.read_scores(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None
