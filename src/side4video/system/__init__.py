"""What differs between operating systems, and between devices.

* console.py: characters that a console cannot print, how its shell quotes words, and closed pipes.
* devices.py: what differs between devices.
* memory.py: memory of this process, and a limit for it.
* paths.py: paths on several drives, and names in any case.
* start_method.py: how new processes are started.
* tables.py: prints tables; a closed pipe ends them as it ends other output.
"""
