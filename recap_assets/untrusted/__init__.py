"""What comes from outside is read and shown through here: within bounds, or refused in words."""
