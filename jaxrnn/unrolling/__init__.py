"""What lies below `unroll`: streams, probes, the run of one cell, the call of all."""
