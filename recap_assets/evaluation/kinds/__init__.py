"""Kinds of evaluation tasks."""
