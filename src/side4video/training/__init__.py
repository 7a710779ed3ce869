"""The training loop and everything it writes.

* build_task.py: builds the task that the settings of a run ask for.
* checkpoint.py: what resuming needs, with a checksum, and the one before.
* final_evaluation.py: the last scoring of a run, with more views.
* loop.py: the training loop.
* nonfinite.py: steps whose loss or gradient is not finite.
* optimizer.py: AdamW and the learning rate.
* out_of_memory.py: the errors that say so.
* run_folder.py: one folder, one set of settings.
* run_log.py: progress bar, log.jsonl, metrics.csv, TensorBoard.
* training_state.py: checkpoints and adapters, also when something ends the run early.
* stopping.py: signals that ask a run to stop.
"""
