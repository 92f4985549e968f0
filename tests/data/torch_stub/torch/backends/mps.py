import os


def is_available():
    return os.environ.get("TORCH_STUB") != "no MPS"
