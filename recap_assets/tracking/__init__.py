"""Training runs, results and the leaderboard, sent to trackers that others run."""
