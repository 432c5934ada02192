"""`python -m dalm.cli` is `dalm`."""

import sys

from dalm.cli import main

sys.exit(main())
