"""Few clips: probes and side networks compared by cross-validation on the training clips, and the best one trained.

* candidates.py: what is compared.
* fold_results.py: what held-out clips said of each candidate, on disk and as a table.
* probe_run.py: a run that trains a probe in place of a side network.
* run.py: a run as the settings say: search, then training.
* search.py: the comparison and the choice.
* side_folds.py: a side network trained on the cached tokens of some folds.
"""
