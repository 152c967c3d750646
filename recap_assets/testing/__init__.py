"""Contracts that every kind of a family keeps, for the tests of whoever writes one."""
