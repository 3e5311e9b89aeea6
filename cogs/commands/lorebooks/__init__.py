"""What `/lore` shows and asks: pages, previews, files, trials."""
