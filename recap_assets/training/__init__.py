"""Models that the platform trains: CLIPs on mixes, scorers, captioners."""
