"""DataComp's image_based: clusters that target images fall into."""
