"""Tests run in two processes (`-n 2` in pyproject.toml), each on one thread: two that take all cores wait for each other."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, here and in the processes that tests start
