"""Long measurements, one module each; what they find is written to docs/."""
