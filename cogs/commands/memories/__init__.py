"""What `/memory` shows and asks."""
