"""Recap: curate image-text data with synthetic captions."""
