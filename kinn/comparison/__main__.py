"""`python -m kinn.comparison`: one run, told on stdin by `isolated`."""

from kinn.comparison.isolated import work

if __name__ == "__main__":
    work()
