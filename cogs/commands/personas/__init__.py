"""What `/persona` shows and asks: pages, previews, forms, files."""
