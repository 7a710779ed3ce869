"""Loader processes: order, batches, watchdog.

* batch.py: clips side by side: what a loader hands over.
* loader.py: order of a run, batches, worker processes.
* order.py: which clips each step of a training run takes.
* worker_processes.py: how workers are started, and how each ended.
* worker_status.py: what each worker is reading, and since when.
* worker_watchdog.py: batches in spite of videos that hang or crash their worker.
"""
