"""What one process uses, on macOS: proc_pid_rusage (xnu), and psutil for threads and files."""

from __future__ import annotations

import psutil

from swarm_exporter.host.darwin import Darwin
from swarm_exporter.host.table import Row
from swarm_exporter.host.usage import Usage


class DarwinUsage:
    """Reads processes of the same user; others may not be read."""

    def __init__(self, darwin: Darwin | None = None) -> None:
        """Read through `darwin`, by default this machine's own."""
        self._darwin = darwin or Darwin()

    def read(self, row: Row) -> Usage:
        """Read one process; what this user may not read is None.

        Raises ProcessLookupError where the process of `row` is gone.
        """
        if row.zombie:
            return Usage(threads=0, open_fds=0, resident=0)
        try:
            process = psutil.Process(row.pid)
            if process.create_time() != row.start:
                raise ProcessLookupError(row.pid)
            used = self._darwin.rusage(row.pid)
            return Usage(
                cpu=used.cpu,
                reaped_cpu=used.reaped_cpu,
                performance_cpu=used.performance_cpu,
                resident=used.resident,
                threads=process.num_threads(),
                open_fds=process.num_fds(),
                disk_read=used.disk_read,
                disk_written=used.disk_written,
                energy=used.energy,
            )
        except ProcessLookupError:
            raise
        except (psutil.AccessDenied, OSError):
            return Usage()
        except psutil.Error:
            raise ProcessLookupError(row.pid) from None
