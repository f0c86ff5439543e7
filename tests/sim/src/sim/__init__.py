"""Whole nodes and a gateway in one thread, in virtual time, from one seed."""
