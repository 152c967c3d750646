"""The leaderboard, the findings and the report page."""
