import os
import sys
import time

_MODE = os.environ.get("TORCH_STUB")
#: How often it was asked, and whether ever in the middle of the import of torch.
calls = 0
too_early = False


def current_allocated_memory():
    global calls, too_early
    calls += 1
    too_early |= sys.modules["torch"].__spec__._initializing
    if _MODE == "raises":
        raise RuntimeError("MPS is broken")
    if _MODE == "exits":
        sys.exit(7)
    if _MODE == "hangs":
        time.sleep(600)
    return 1_610_612_736


def driver_allocated_memory():
    return "much" if _MODE == "odd" else 3_221_225_472


def _is_in_bad_fork():
    return False


if _MODE != "old":

    def recommended_max_memory():
        return 12_713_115_648
