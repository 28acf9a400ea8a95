"""Networks of neuroscience, and models of dynamics."""
