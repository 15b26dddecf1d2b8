"""The fuzzer is a script that imports its targets by their own name."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
