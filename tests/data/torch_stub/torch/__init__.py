"""As much of PyTorch as the helper looks at; TORCH_STUB says what is special about it."""

import os
import time

from torch import backends, mps

__all__ = ["backends", "mps"]

if os.environ.get("TORCH_STUB") == "slow import":
    time.sleep(0.3)
