"""What comes from outside is read and shown here: within bounds, or refused with a reason."""
