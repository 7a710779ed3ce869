"""Action recognition: data, loss, evaluation, linear probe.

* average_precision.py: average precision of each class, and its means.
* baselines.py: accuracy of probes, chance and the majority class.
* class_table.py: precision, recall and F1 of each class, and the warning about few videos.
* class_weights.py: weights of classes with unequal numbers of clips.
* data.py: reads and checks the labelled videos of a run.
* evaluate.py: scores every video once.
* folds.py: divides the training clips into folds for cross-validation.
* late_fusion.py: weights for a sum of several classifiers' logits.
* loss.py: cross-entropy, binary for several labels, with label smoothing, mixup and cutmix.
* metrics.py: accuracies, confusion.
* multi_label_scores.py: the scores of an evaluation with several labels per video.
* linear_probe.py: the probe from which a fused head starts.
* logistic_regression.py: fits it, and chooses its strength by cross-validation.
* probe_fitting.py: fits probes and compares them by cross-validation.
* probe_tokens.py: the frozen tokens that probes read.
* scores.py: the scores of an evaluation.
* thresholds.py: from which score on a class counts as shown.
* task.py: recognition for the training loop.
* zero_shot.py: recognition by class names, without training.
"""
