"""Finding moments in one's own videos: an index of what a retrieval model sees in them, and questions to it.

* stores/: where an index is kept: LanceDB or Qdrant.
* changes.py: what differs between disk and index.
* embedding.py: from files to windows with embeddings.
* index_model.py: the model of an index, and what tells it from others.
* index_writer.py: its changes, written now and then.
* indexing.py: an index brought up to the videos on disk.
* indexing_report.py: what was done.
* metadata.py: what a user's CSV says of videos.
* reranking.py: the model's own score, and what it rests on.
* results.py: what a search finds.
* video_index.py: questions to an index.
* window_clips.py: from a file to the clips of its windows.
* windows.py: how a long video is cut.
"""
