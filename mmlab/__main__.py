"""`python -m mmlab` is the command `mmlab`."""

import sys

from mmlab.cli import main

if __name__ == "__main__":
    sys.exit(main())
