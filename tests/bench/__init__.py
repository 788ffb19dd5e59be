"""What a bid costs: ``python -m tests.bench``. See docs/performance.md."""
