"""The processes of a run: how they join, exchange data, and detect lost ones.

* heartbeat.py: detect and name processes that were lost.
* processes.py: start together, distribute work, sum gradients.
* ray_engine.py: work on many items in the processes of a Ray cluster.
"""
