"""Reproducible incident logs: made-up traffic of a few applications, a simulated platform, and thirteen stories."""
