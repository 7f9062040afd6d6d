"""The logging standard: what a model call is, how its line is written, how it is read back."""
