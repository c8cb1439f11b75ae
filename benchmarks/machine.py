"""Description of the machine and the software, printed above every table."""

import datetime
import importlib.metadata
import os
import platform


def header(*packages: str) -> str:
    """Returns the date, the versions and the processor, one line each.

    Args:
      *packages: names of distributions; those that are not installed are omitted.
    """
    found = []
    for package in ("jax", *packages):
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return (
        f"date {datetime.date.today()}, python {platform.python_version()},\n"
        f"{', '.join(found)},\n"
        f"processor {_processor()}, load {os.getloadavg()[0]:.1f} at the start"
    )


def _processor():
    """Returns the name of the CPU and its number of cores."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line for line in file if line.startswith("model name")]
        return f"{names[0].split(':')[1].strip()}, {len(names)} cores"
    except (OSError, IndexError):
        return platform.processor() or platform.machine()
