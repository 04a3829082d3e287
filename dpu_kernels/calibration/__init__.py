"""Vector add, reduction and prefix sum: kernels whose time on hardware is published, to check the clock against."""

from .counts import Counts, Listing, listing
from .layout import RESULT_ELEMS, Argument
from .reduction import reduction_program
from .scan import scan_program
from .vector_add import vector_add_program

__all__ = [
    "RESULT_ELEMS",
    "Argument",
    "Counts",
    "Listing",
    "listing",
    "reduction_program",
    "scan_program",
    "vector_add_program",
]
