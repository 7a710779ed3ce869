"""The search page and the JSON API of an index, bound to localhost by default, or with a token on the network.

* answers.py: the JSON responses.
* api.py: the JSON API.
* app.py: the complete application.
* columns.py: the metadata columns that searches can filter by.
* guards.py: tokens, hosts, cross-site requests, limits of request bodies.
* library.py: the files that may be shown.
* media.py: videos, parts of them, pictures.
* model_queue.py: batches the requests of many clients for one model.
* pages.py: the search page, rendered on the server.
* questions.py: the parameters of a request, validated.
* service.py: searching, classifying, uploads.
* serving.py: socket, server, and shutdown.
* settings.py: access and limits.
* transcode_cache.py: a cache of clips for browsers, limited in size.
* transcode_workers.py: transcoding in processes that can be killed.
"""
