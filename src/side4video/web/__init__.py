"""The search page and the JSON API of an index, bound to localhost by default, or with a token on the network.

* api.py: the JSON API.
* app.py: the complete application.
* columns.py: the metadata columns that searches can filter by.
* file_response.py: sends a file of this machine to a browser.
* media.py: videos, parts of them, pictures.
* model_queue.py: batches the requests of many clients for one model.
* page_content.py: what the page shows.
* page_routes.py: the routes of the search page.
* pages.py: the search page, rendered on the server.
* queries.py: queries of clients.
* remote_response.py: sends a video of a store to a browser.
* remote_states.py: whether files in stores are unchanged.
* request_parameters.py: the parameters of a request, validated.
* responses.py: the JSON responses.
* security_middleware.py: tokens, hosts, cross-site requests, limits of request bodies.
* served_files.py: the files that may be shown.
* server.py: socket, server, and shutdown.
* service.py: searching, classifying, uploads.
* settings.py: access and limits.
* timelines.py: timelines of the videos of an index.
* transcode_cache.py: a cache of clips for browsers, limited in size.
* transcode_workers.py: transcoding in processes that can be killed.
* video_responses.py: describe videos for clients.
"""
