"""Cells without gates, or nearly so."""
