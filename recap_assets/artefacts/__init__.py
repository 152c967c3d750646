"""What lies between the stages: tables, uids, draws, previews."""
