"""Where an index is stored: LanceDB or Qdrant.

* connection_errors.py: why a store cannot be used, and the remedy.
* filtering.py: whether a file passes a filter.
* filters.py: which videos a search considers.
* index_locks.py: locks for indexing and for changes of the tables.
* info_text.py: the description of an index, as text.
* lance_snapshot.py: search in one version of a LanceDB table.
* lance_store.py: LanceDB: a folder, or an object store.
* open_store.py: open the store of an address.
* portions.py: windows of many videos, in portions of limited size.
* qdrant_points.py: windows as Qdrant points.
* qdrant_store.py: Qdrant: a server or a cluster.
* records.py: the records of an index.
* store.py: the interface of a store.
* stored_text.py: paths and metadata as text.
* window_rows.py: windows as table rows.
"""
