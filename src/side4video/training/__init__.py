"""The training loop, and the checkpoints, adapters and logs that it writes.

* build_task.py: builds the task of a run from its settings.
* checkpoint.py: checkpoints with a checksum, and the previous one as a fallback.
* epoch_evaluation.py: evaluates at the end of epochs and keeps the best adapter.
* final_evaluation.py: the final evaluation of a run, with more views.
* loop.py: the training loop.
* nonfinite.py: skips steps whose loss or gradient is not finite.
* optimizer.py: AdamW and the learning rate.
* out_of_memory.py: detects out-of-memory errors and suggests remedies.
* run_folder.py: a run folder and its settings.
* run_inputs.py: what a run was started with, which may move.
* run_mirror.py: a run at an address such as s3://bucket/run.
* run_log.py: progress bar, log.jsonl, metrics.csv, TensorBoard.
* stopping.py: SIGINT, SIGTERM and SIGUSR1.
* temporary_folder.py: temporary folders of runs at addresses, removed after kills.
* trackers.py: Weights & Biases, MLflow and TensorBoard.
* training_state.py: the state of a run, and when it is saved.
"""
