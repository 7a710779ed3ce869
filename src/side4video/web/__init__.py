"""The page and the JSON API of an index, for a browser on this machine or, with a token, on another.

* answers.py: what it answers.
* api.py: the JSON API.
* app.py: the application: all of it together.
* columns.py: what videos can be filtered by.
* guards.py: tokens, hosts, other sites, sizes of bodies.
* library.py: which files may be shown.
* media.py: videos, parts of them, pictures.
* model_queue.py: many clients, one model: questions answered together.
* pages.py: the page, rendered whole.
* questions.py: what a request asks for, checked.
* service.py: searching, classifying, uploads.
* serving.py: a socket, a server, and a clean end.
* settings.py: who may ask, and how much.
* transcode_cache.py: what was made for browsers, in bounded space.
* transcode_workers.py: decoding in processes that can be ended.
"""
