"""What commands about personas and about lorebooks have in common."""
