"""Run the command line with `python -m side4video`."""

import sys

from side4video.cli import main

sys.exit(main())
