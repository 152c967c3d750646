"""Conditions of rules: on which images a rule is asked at all."""
