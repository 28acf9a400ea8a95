"""Cells whose new carry is affine in the old one: h' = A_t h + b_t, by the input alone."""
