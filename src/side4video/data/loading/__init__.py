"""Read clips in worker processes and put them into batches.

* balanced_draws.py: epochs in which every class fills the same share.
* batch.py: a batch of clips.
* engine.py: where clips are read and computed: in this process, or on a Ray cluster.
* loader.py: data loaders for training and evaluation.
* order.py: which clips each training step uses.
* process_support.py: whether worker processes can be started.
* worker_exits.py: why a worker process ended.
* worker_processes.py: start worker processes and report how each ended.
* worker_status.py: which clip each worker reads, and since when.
* worker_watchdog.py: replace workers that a video hangs or crashes.
"""
