"""What makes a conversation a roleplay: which lore is told, and later scenes and memory."""
