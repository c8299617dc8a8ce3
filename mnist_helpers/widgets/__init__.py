"""Views that change while one looks at them, one module each."""
