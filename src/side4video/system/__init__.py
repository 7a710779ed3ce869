"""What differs between operating systems, and between devices.

* console.py: characters that a console cannot print, and how its shell quotes words.
* devices.py: what differs between devices.
* memory.py: memory of this process, and a limit for it.
* paths.py: paths relative to each other, also on several drives.
* start_method.py: how new processes are started.
"""
