"""Action recognition: data, loss, evaluation, linear probe.

* evaluation.py: what an evaluation found.
* linear_probe.py: what the frozen model knows by itself.
* metrics.py: accuracies, confusion.
* recognition.py: data, loss and evaluation of action recognition.
* recognition_task.py: its training.
* zero_shot.py: recognition by class names, without training.
"""
