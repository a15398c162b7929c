"""
`python -m keystay_server.cli`: the command line, where `keystay` is not on the path.
"""

import sys

from keystay_server.cli.main import main

sys.exit(main())
