"""Print the answer of an address, as `curl -s` does; a server has 5 seconds to come up."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from plain_http import ask

_ATTEMPTS = 100
_PAUSE_SECONDS = 0.05
#: What curl exits with where nobody listens.
_REFUSED = 7

for _ in range(_ATTEMPTS):
    try:
        sys.stdout.write(ask("GET", sys.argv[1])[2])
        break
    except OSError:
        time.sleep(_PAUSE_SECONDS)
else:
    sys.exit(_REFUSED)
