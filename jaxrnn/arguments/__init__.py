"""What comes in at a public function: arrays, numbers, keys; checked, in one form."""
