"""For few clips: compares probes and side networks by cross-validation on the training clips, and trains the best.

* candidates.py: the settings to compare.
* fold_results.py: results of each candidate on held-out clips, on disk and as a table.
* probe_run.py: a run that fits a probe instead of a side network.
* run.py: a run: optional search, then training.
* search.py: the comparison and the choice.
* side_folds.py: trains a side network on the cached tokens of some folds.
"""
