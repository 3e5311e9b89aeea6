"""Scenes on SQL, and copies of conversations."""
