"""What differs between operating systems.

* console.py: characters that a console cannot print.
* memory.py: memory of this process, and a limit for it.
* start_method.py: how new processes are started.
"""
