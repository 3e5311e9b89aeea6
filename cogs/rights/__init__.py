"""Who may do what in Discord: one table, checked whenever something is done."""
