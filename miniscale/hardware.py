"""What this machine has, found without importing torch."""

import ctypes
from importlib import metadata


def has_cuda() -> bool:
    """Whether an NVIDIA driver with a device answers, and the installed torch can use it."""
    try:
        if "+cpu" in metadata.version("torch"):
            return False
        driver = ctypes.CDLL("libcuda.so.1")
    except (metadata.PackageNotFoundError, OSError):
        return False
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return False
    return count.value > 0


def device() -> str:
    """Return ``cuda`` or ``cpu``; the resolver ``${hardware:}`` of configurations."""
    return "cuda" if has_cuda() else "cpu"
