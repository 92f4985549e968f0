"""The trainer's module under upstream's name; what it does is in standin/trainer.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "standin"))
from trainer import main

if __name__ == "__main__":
    main("hivemind")
