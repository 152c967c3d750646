"""A package of somebody else's that adds kinds, and what the platform makes of it."""
