"""Cells whose products are convolutions."""
