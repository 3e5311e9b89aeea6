"""What is kept of a person: who stays out, what is handed out, and what goes for good."""
