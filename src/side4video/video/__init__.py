"""Read frames of one video, by number and by time.

* audio.py: the audio of a part of a video as AAC, in sync with its frames.
* container.py: open a video file with any supported PyAV version.
* cutting.py: cut a part of a file without encoding it again.
* decoding.py: open any video: a file or a folder of frames.
* frame_array.py: frames in memory, read like a video file.
* frame_folder.py: frames of a folder with one image per frame.
* live_reader.py: frames of a live stream.
* packets.py: frame times and key frames, read from a container without decoding.
* playback.py: media types, clips and pictures for a browser.
* stored_input.py: videos given as bytes or file objects.
* video_error.py: the one exception that reading a video raises.
* video_file.py: frames of a video file.
"""
