"""What `/roleplay` and forks share: threads, rights, looks."""
