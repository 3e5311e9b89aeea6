"""Models in folders: which files belong together, and what each of them says."""
