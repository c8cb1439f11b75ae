"""The programs: each an absl main of its own."""
