"""DataComp's filters: which samples are in a computed set of uids, and why others are not."""
