"""What a conversation remembers beside its newest turns."""
