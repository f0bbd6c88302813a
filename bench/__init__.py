"""The engine of ldmbench: datasets, systems, metrics, suites and runs, without any particular one of them."""
