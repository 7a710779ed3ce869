"""Action recognition: data, loss, evaluation, linear probe.

* baselines.py: what probes reach, with chance and the majority class.
* data.py: the labelled videos of a run, read and checked.
* evaluate.py: every video scored once.
* folds.py: folds of cross-validation inside the training clips.
* loss.py: cross-entropy with label smoothing, mixup and cutmix.
* metrics.py: accuracies, confusion.
* linear_probe.py: the probe that a fused head starts from.
* logistic_regression.py: its strength chosen by cross-validation.
* probe_fitting.py: probes fitted and compared by cross-validation.
* probe_tokens.py: the frozen tokens that they read.
* scores.py: the scores of an evaluation.
* task.py: what the training loop needs of recognition.
* zero_shot.py: recognition by class names, without training.
"""
