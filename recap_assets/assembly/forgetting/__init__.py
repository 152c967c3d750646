"""Removal that holds: samples that leave a data folder, its history and its files, for good."""
