"""`python -m eyesup`."""

import sys

from eyesup.cli.main import main

sys.exit(main())
