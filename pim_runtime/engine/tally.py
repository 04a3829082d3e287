"""What one thread counts while it runs a range of DPUs: meters of the running DPU, and their sums over all DPUs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..counting.meters import MeterTable
from ..device.run_record import MAX_TASKLETS, METER_PRICES, METER_TOTALS, METERS, NR_METERS

__all__ = ["Tally"]


class Tally:
    """Memory for the meters of a program. It must live as long as the run record that it is attached to is used."""

    def __init__(self, table: MeterTable) -> None:
        self._meters = np.zeros((MAX_TASKLETS, table.nr_meters), np.int64)
        self._prices = table.prices()
        self._totals = np.zeros((2, table.nr_meters), np.int64)

    def attach(self, record: NDArray[np.int64]) -> None:
        """Tell a run record where the meters are."""
        record[NR_METERS] = self._meters.shape[1]
        record[METERS] = self._meters.ctypes.data
        record[METER_PRICES] = self._prices.ctypes.data
        record[METER_TOTALS] = self._totals.ctypes.data

    @property
    def totals(self) -> NDArray[np.int64]:
        """Meters of all DPUs so far, int64 [2, nr_meters]: of those that do not measure, and of those that do."""
        return self._totals
