"""Cells from differential equations, and those whose gradients are bounded."""
