"""`python -m side4video` is the command line."""

import sys

from side4video.cli import main

sys.exit(main())
