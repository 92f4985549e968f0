"""The behaviours of one stand-in, read again each time so that a test can change them."""

import json
import sys
from pathlib import Path

FILE = "standin.json"


def read_behaviours(folder):
    return json.loads((Path(folder) / FILE).read_text())


if __name__ == "__main__":
    value = read_behaviours(Path(__file__).resolve().parents[1])[sys.argv[1]]
    sys.stdout.write(str(value) if value else "")
