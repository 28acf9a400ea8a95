"""How fast is jaxrnn, and at what cost: one question a file, `python -m benchmarks`."""
