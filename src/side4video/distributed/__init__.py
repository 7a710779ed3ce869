"""Several processes in one run: collectives and heartbeat.

* heartbeat.py: which of them are still there, and which one was lost.
* processes.py: the processes of a run, one or several.
"""
