"""What differs between operating systems, and between devices.

* console.py: characters that a console cannot print.
* devices.py: what differs between devices.
* memory.py: memory of this process, and a limit for it.
* start_method.py: how new processes are started.
"""
