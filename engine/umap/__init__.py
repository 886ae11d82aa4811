"""Maps of features: neighbours, graphs, and UMAP in a process of its own."""
