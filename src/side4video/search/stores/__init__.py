"""Where an index is kept: LanceDB or Qdrant.

* filtering.py: whether a file passes.
* filters.py: which videos a search looks at.
* index_locks.py: who indexes, and who changes the tables.
* info_text.py: what an index says of itself, as text.
* lance_snapshot.py: finding in one version of its table.
* lance_store.py: LanceDB: a folder, or an object store.
* open_store.py: which store an address means.
* portions.py: windows of many videos, some at a time.
* qdrant_points.py: windows as its points.
* qdrant_store.py: Qdrant: a server, or a cluster of them.
* records.py: what an index holds.
* store.py: what an index asks of the place that keeps it.
* stored_text.py: paths and metadata as text.
* unreachable.py: why a store cannot be used, and what to do.
* window_rows.py: windows as rows.
"""
