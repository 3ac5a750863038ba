"""What `./run gpu` puts on Python's path: the tests of it need that too."""

import sys
from pathlib import Path

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "bench")]
