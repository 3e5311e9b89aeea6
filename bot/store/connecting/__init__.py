"""How the store reaches its database: connections, transactions, migrations, what is erased."""
