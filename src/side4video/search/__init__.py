"""Find moments in a collection of videos: an index of embeddings, and searches by text or by example.

* stores/: where an index is stored: LanceDB or Qdrant.
* allowed_addresses.py: which addresses of an index may be fetched.
* cached_subtitles.py: the subtitles of an index, cached.
* changes.py: differences between the videos and the index.
* combined.py: several texts and an example together, and unwanted texts.
* examples.py: examples as vectors.
* file_states.py: the state of a video file, on this machine or in a store.
* index_model.py: the model of an index, and its fingerprint.
* index_writer.py: writes changes to the index at intervals.
* indexing.py: update an index to the videos on disk.
* indexing_progress.py: the progress bar of an update.
* indexing_report.py: the result of an update.
* local_changes.py: the videos of this machine that inputs match, and which of an index are gone.
* metadata.py: metadata of videos from a CSV file.
* occurrences.py: all parts of a video that match a query.
* outages.py: detects that a store has stopped answering.
* partial_work.py: windows of videos that are not complete yet.
* path_changes.py: remove videos or change their paths.
* photos.py: photos as examples.
* ranking.py: which windows a search gives.
* reranking.py: exact scores of windows, and their best matching frames.
* remote_changes.py: the videos that addresses name, and which of an index are gone.
* results.py: search results.
* subtitle_index.py: search in subtitles.
* subtitle_updates.py: update subtitles to the files on disk.
* video_index.py: search an index.
* window_clips.py: clips of the windows of a video file.
* window_embedder.py: embeddings of the windows of video files.
* windows.py: split long videos into windows.
"""
