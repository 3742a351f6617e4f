"""glibc's allocator, told to keep large blocks instead of mapping them anew at every operation."""

import ctypes

# <malloc.h>
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_LARGEST_INT = 2**31 - 1


def keep_large_blocks() -> bool:
    """Serve every allocation from the heap and do not give the heap back; return whether it took.

    A step of message passing makes and frees hundreds of tensors of many MB. By default glibc
    maps each from the kernel and unmaps it again, and the page faults cost a third of the step.
    Only for processes of our own: the memory of the largest moment stays with the process.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False  # not glibc
    settings = {
        _M_MMAP_MAX: 0,
        _M_TRIM_THRESHOLD: _LARGEST_INT,
        _M_TOP_PAD: 2**28,
    }
    return all(bool(mallopt(name, value)) for name, value in settings.items())
