"""From a video file to a batch of clips.

* decoding.py: open any video.
* frame_folder.py: chosen frames of a folder of pictures.
* opening.py: a video file opened by whichever PyAV there is.
* packets.py: what a container lists without decoding.
* playback.py: what a browser plays, and making it so.
* sound.py: the sound of a part as AAC, in step with its pictures.
* video_error.py: the one exception that reading raises.
* video_file.py: chosen frames of a video file.
"""
