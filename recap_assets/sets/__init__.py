"""Named sets of uids: DataComp's filters, and others."""
