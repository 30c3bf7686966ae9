"""What a process costs, as the kernel counts it, and what the disk takes."""

import os
import statistics
import time
from pathlib import Path


def fsync_ms(folder: Path, *, times: int = 30, size: int = 2048) -> float:
    """Write so many bytes and have the disk keep them, again and again; return the median."""
    spent = []
    file = folder / "fsync"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for _ in range(times):
            since = time.perf_counter()
            os.write(descriptor, b"x" * size)
            os.fdatasync(descriptor)
            spent.append((time.perf_counter() - since) * 1000)
    finally:
        os.close(descriptor)
        file.unlink()
    return statistics.median(spent)


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process so far, in seconds; its children are not in it."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Return the memory that a process has in use, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"process {pid} has no memory")
