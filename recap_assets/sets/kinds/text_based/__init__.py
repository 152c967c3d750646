"""DataComp's text_based: words that name classes of ImageNet-21k."""
