"""Fitting and training of everything that is learned."""
