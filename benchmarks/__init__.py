"""What kinn is measured by: `python -m benchmarks engine | figures | scales | networks`; results are in results/."""
