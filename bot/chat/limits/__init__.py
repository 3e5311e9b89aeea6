"""What bounds a conversation: who is heard, who is answered, how often."""
