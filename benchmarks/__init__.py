"""What kinn is measured by: `python -m benchmarks --help` lists the suites; results are in results/."""
