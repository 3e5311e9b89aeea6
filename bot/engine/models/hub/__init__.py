"""Models of the Hugging Face hub: asked for, downloaded, checked, and found again on the disk."""
