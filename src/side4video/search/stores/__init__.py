"""Where an index is stored: LanceDB or Qdrant.

* batched_reads.py: windows of many videos, in batches of limited size.
* connection_errors.py: why a store cannot be used, and the remedy.
* dates.py: dates in metadata, and periods in conditions.
* filter_matching.py: whether a file passes a filter.
* filters.py: which videos a search considers.
* index_locks.py: locks for indexing and for changes of the tables.
* lance_snapshot.py: search in one version of a LanceDB table.
* lance_store.py: LanceDB: a folder, or an object store.
* lance_subtitles.py: subtitles in LanceDB.
* lance_tables.py: LanceDB tables, and conflicts with other processes.
* numbers.py: numbers in metadata and conditions.
* open_store.py: open the store of an address.
* qdrant_clients.py: clients of a Qdrant server or folder.
* qdrant_points.py: windows as Qdrant points.
* qdrant_store.py: Qdrant: a server or a cluster.
* qdrant_subtitles.py: subtitles in Qdrant.
* records.py: the records of an index.
* serialisation.py: paths, metadata and the description of an index as text.
* store.py: the interface of a store.
* window_rows.py: windows as table rows.
"""

import os

os.environ.setdefault("LANCEDB_LOG", "error")  # it warns about each part of an index that it divides
