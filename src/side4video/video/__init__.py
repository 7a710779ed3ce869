"""Read frames of one video, by number and by time.

* audio.py: the audio of a part of a video as AAC, in sync with its frames.
* container.py: open a video file with any supported PyAV version, and explain its errors.
* cutting.py: cut a part of a file without encoding it again.
* decoding.py: open any video: a file or a folder of frames.
* file_access.py: state and bytes of a video on disk, at an address or in a tar archive.
* file_lock.py: a lock between processes.
* frame_array.py: frames in memory, in the form of decoded frames.
* frame_folder.py: frames of a folder with one image per frame.
* frame_table.py: when each frame is shown, and where decoding can start.
* hidden.py: names of files and folders that are ignored.
* listing.py: the frame table of a file, from all its packets.
* live_reader.py: frames of a live stream.
* mp4_samples.py: the sample tables of MP4 and QuickTime files.
* open_file.py: a file that is open for decoding.
* orientation.py: how frames are mirrored and rotated to show them upright.
* packets.py: frame times and key frames, read from a container without decoding.
* playback.py: media types, clips and pictures for a browser.
* remote.py: paths of videos at addresses such as s3://bucket/clip.mp4.
* remote_cache.py: a cache of blocks of remote files on this disk.
* remote_file.py: a remote file, read in blocks.
* remote_listing.py: folders and patterns at addresses.
* rgb_pictures.py: pictures of any mode as RGB.
* shard_index.py: the members of a tar archive.
* shard_paths.py: paths of videos in tar archives, and patterns of shards.
* stored_input.py: videos given as bytes or file objects.
* video_cache.py: frame tables for all processes of a command, and open files.
* video_error.py: the one exception that reading a video raises.
* video_file.py: frames of a video file.
"""
