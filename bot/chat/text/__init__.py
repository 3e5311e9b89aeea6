"""Strings in, strings out: guards, names, filters, splitting. Knows nobody."""
