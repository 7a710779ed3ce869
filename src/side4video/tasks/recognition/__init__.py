"""Action recognition: data, loss, evaluation, linear probe.

* data.py: the labelled videos of a run, read and checked.
* folds.py: folds of cross-validation inside the training clips.
* evaluate.py: every video scored once.
* loss.py: cross-entropy with label smoothing, mixup and cutmix.
* metrics.py: accuracies, confusion.
* linear_probe.py: what the frozen model reaches without a side network.
* scores.py: the scores of an evaluation.
* task.py: what the training loop needs of recognition.
* zero_shot.py: recognition by class names, without training.
"""
