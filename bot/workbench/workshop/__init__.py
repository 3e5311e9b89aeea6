"""The personas of the owner's folder on the page: edited, dropped in, and their lore tried."""
