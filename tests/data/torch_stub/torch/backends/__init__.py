from torch.backends import mps

__all__ = ["mps"]
